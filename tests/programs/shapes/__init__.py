"""Programs and metrics as they stand in people's repositories: nothing of ours."""
