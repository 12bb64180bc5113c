"""Stage 5: a real requirements document to a vision and a review."""

from kedro.pipeline import Node, Pipeline

from .nodes import write_vision_and_review


def create_pipeline(**kwargs: object) -> Pipeline:
    """Runs the chosen program, writes both documents whole or not at all."""
    return Pipeline(
        [
            Node(
                write_vision_and_review,
                inputs=[
                    "chosen_program",
                    "choice",
                    "requirements",
                    "existing_vision",
                    "params:concept",
                    "task_lm",
                ],
                outputs={
                    "product_vision": "product_vision",
                    "product_owner_review": "product_owner_review",
                    "integration_report": "integration_report",
                    "provenance": "provenance",
                },
                name="write_vision_and_review_node",
            ),
        ],
        tags="integrate",
        namespace="integrate",
        prefix_datasets_with_namespace=False,
    )
