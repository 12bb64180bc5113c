"""Stage 3: the candidate to a released, versioned, verified artifact."""

from kedro.pipeline import Node, Pipeline

from .nodes import compare_prompts, release_program


def create_pipeline(**kwargs: object) -> Pipeline:
    """Adds provenance, stores, reads back, shows what changed in the prompt."""
    return Pipeline(
        [
            Node(
                release_program,
                inputs=[
                    "candidate_program",
                    "optimization_report",
                    "data_report",
                    "task_lm",
                    "prompt_lm",
                    "params:role",
                ],
                outputs="optimized_program",
                name="release_program_node",
            ),
            Node(
                compare_prompts,
                inputs=["params:role", "optimized_program", "task_lm"],
                outputs="prompt_diff",
                name="compare_prompts_node",
            ),
        ],
        tags="persist",
        namespace="persist",
        prefix_datasets_with_namespace=False,
    )
