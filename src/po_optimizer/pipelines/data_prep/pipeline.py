"""Stage 1: raw records to disjoint splits."""

from kedro.pipeline import Node, Pipeline

from .nodes import check_raw_records, split_checked_records

_OUTPUTS = ("trainset", "valset", "testset", "data_report")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Checks every record, keeps the reason of each rejection, splits the rest."""
    return Pipeline(
        [
            Node(
                check_raw_records,
                inputs=["raw_records", "params:role", "params:data_prep"],
                outputs=["checked_records", "rejected_records"],
                name="check_raw_records_node",
            ),
            Node(
                split_checked_records,
                inputs=[
                    "checked_records",
                    "rejected_records",
                    "trainset_records",
                    "valset_records",
                    "testset_records",
                    "params:role",
                    "params:data_prep",
                ],
                outputs={name: name for name in _OUTPUTS},
                name="split_checked_records_node",
            ),
        ],
        tags="data_prep",
        namespace="data_prep",
        prefix_datasets_with_namespace=False,
    )
