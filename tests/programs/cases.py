"""Every case by name."""

from typing import Any

from tests.programs.case import Case

TOWN = {"town": "city"}


def _case(program: str, metric: str, labels: dict[str, str], **more: Any) -> Case:
    return Case(program, metric, labels, more.pop("args", {}), **more)


def _city(program: str, **more: Any) -> Case:
    return _case(program, more.pop("metric", "answering:city_exact"), TOWN, **more)


CASES = {
    "module_level_object": _city("answering:city_finder"),
    "factory": _city("answering:build", args={"rounds": 3}),
    "list_of_predictors": _city("answering.Repeated", args={"rounds": 2}),
    "retriever": _city("answering.RAG"),
    "loop": _city("answering.Hops"),
    "n_answers": _city("answering.Vote"),
    "multi_chain": _city("answering.Compared"),
    "history": _city("answering.Conversation"),
    "own_threads": _city("answering.InThreads"),
    "dspy_parallel": _city("answering.Parallel"),
    "exact_match": _case(
        "answering.RAG", "dspy.evaluate.answer_exact_match", {"answer": "city"}
    ),
    "react": _city("agents:react"),
    "agent_in_program": _city("agents.Desk"),
    "best_of_n": _city("agents.BestOf"),
    "refine": _city("agents.Refined"),
    "retries": _city("agents.Retried"),
    "async_only": _city("agents.Asynchronous"),
    "async_inside": _city("agents.Gathered"),
    "literals_five_arguments": _case(
        "extracting:triage", "extracting:both_right", {"answer": "whole"}
    ),
    "enum_bool_metric": _case(
        "extracting:classify", "extracting:label_right", {"kind": "category"}
    ),
    "pydantic": _case(
        "extracting.Extract", "extracting:form_share", {"expected": "whole"}
    ),
    "returns_model": _case(
        "extracting.ReturnsModel", "extracting:form_share", {"expected": "whole"}
    ),
    "returns_list": _city("extracting.ReturnsList", metric="extracting:first_form"),
    "returns_text": _city("extracting.ReturnsText", metric="extracting:text_right"),
    "returns_dict": _case(
        "extracting.ReturnsDict",
        "extracting:numbers_right",
        {"pieces": "count", "price": "amount"},
    ),
    "image": _city("extracting.Scan"),
    "typed_inputs": _case(
        "extracting.Typed", "extracting:items_f1", {"expected": "items"}
    ),
    "raises_on_some": _city("extracting.Checked"),
    "router": _city("composed.Router"),
    "nested_shared": _city("composed.Nested"),
    "committee": _city("composed.Committee"),
    "remembers": _city("composed.Remembers"),
    "own_adapter": _city("composed.OwnAdapter"),
    "second_lm": _city("composed.Delegates"),
    "pinned_lm": _city("composed.Pinned"),
    "lm_from_settings": _city("composed.FromSettings"),
    "judge": _city("answering:city_finder", metric="composed:judged"),
    "judge_of_its_own": _city(
        "answering:city_finder", metric="composed:judged_by_another"
    ),
    "heuristic": _case("answering:city_finder", "composed:not_vague", {}),
    "raises_on_empty": _city("answering:city_finder", metric="composed:strict"),
    "defaults": _city("odd.Defaults", args={"verbose": True, "tone": "dry"}),
    "lambda_attribute": _city("odd.Partial"),
    "embeddings": _city("odd.Embedded"),
    "demos_of_its_own": _city("odd.FewShot"),
    "returns_tuple": _city("odd.ReturnsTuple", metric="odd:tuple_right"),
    "returns_array": _case(
        "odd.ReturnsArray", "odd:array_close", {"pieces": "count", "price": "amount"}
    ),
    "shuffles": _city("odd.Shuffles"),
    "batch_inside": _city("odd.Called"),
    "tool_output": _city("odd.ToolOutput"),
    "semantic_f1": _city("answering:city_finder", metric="odd:semantic_f1"),
}

REFUSED = {
    "no_predictors": (_city("composed.Plain"), r"has_predictors .* each dspy\.Predict"),
    "class_attribute": (_city("odd.ClassAttribute"), r"has_predictors .* __init__ on"),
    "always_raises": (_city("composed.AlwaysFails"), "raised AttributeError: .*'town'"),
    "code_without_deno": (_city("agents:coder"), r"dspy\[deno\]"),
    "code_act_without_deno": (_city("agents:code_actor"), r"dspy\[deno\]"),
}
"""What cannot run, with a part of the sentence that says why."""
