"""As in kedro-plugins."""
