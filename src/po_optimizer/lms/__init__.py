"""LMs: a metered dspy.LM from a configuration, its ledger, cache and server."""

import os

# LiteLLM would ask the network for prices when it is imported, and for Anthropic's
# headers at the first call; it has both with it
for _table in ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS"):
    os.environ.setdefault(f"LITELLM_LOCAL_{_table}", "True")
