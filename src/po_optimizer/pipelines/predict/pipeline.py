"""Stage 5 of any role: a table of inputs to a table of outputs."""

from kedro.pipeline import Node, Pipeline

from .nodes import answer_inputs, choose_program, report_answers


def create_choice(**kwargs: object) -> Pipeline:
    """Chooses the program that the switch and the promotion allow."""
    return Pipeline(
        [
            Node(
                choose_program,
                inputs=[
                    "promotion",
                    "champion_program",
                    "params:role",
                    "params:features",
                    "task_lm",
                ],
                outputs=["chosen_program", "choice"],
                name="choose_program_node",
            )
        ],
        tags="predict",
        namespace="predict",
        prefix_datasets_with_namespace=False,
    )


def create_pipeline(**kwargs: object) -> Pipeline:
    """Answers every row of the inputs with the chosen program."""
    answering = Pipeline(
        [
            Node(
                answer_inputs,
                inputs=[
                    "chosen_program",
                    "choice",
                    "prediction_inputs",
                    "task_lm",
                    "params:role",
                ],
                outputs="answers",
                name="answer_inputs_node",
            ),
            Node(
                report_answers,
                inputs=["answers", "choice", "task_lm"],
                outputs="prediction_report",
                name="report_answers_node",
            ),
        ],
        tags="predict",
        namespace="predict",
        prefix_datasets_with_namespace=False,
    )
    return create_choice() + answering
