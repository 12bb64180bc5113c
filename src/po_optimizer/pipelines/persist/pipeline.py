"""Stage 3: the candidate to a released, versioned, verified artifact."""

from kedro.pipeline import Node, Pipeline

from .nodes import release_program


def create_pipeline(**kwargs: object) -> Pipeline:
    """Adds provenance, stores, reads back."""
    return Pipeline(
        [
            Node(
                release_program,
                inputs=[
                    "candidate_program",
                    "optimization_report",
                    "data_report",
                    "params:role",
                ],
                outputs="optimized_program",
                name="release_program_node",
            ),
        ],
        tags="persist",
        namespace="persist",
        prefix_datasets_with_namespace=False,
    )
