"""From raw records to disjoint, balanced splits."""
