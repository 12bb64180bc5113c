"""Run control: preflight, forecast, budget, journal, resume, and the optimizers."""
