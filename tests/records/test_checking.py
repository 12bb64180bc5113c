"""Every line of a file is used or kept with its line, field and reason."""

import json

import pytest

from po_optimizer.errors import SettingError
from po_optimizer.records.checking import check_records, to_examples
from tests.small_role import LabelRecord, raw_record

GOOD = json.dumps(raw_record(1))


def check(*lines):
    """The checked records of these lines."""
    return check_records("\n".join(lines), LabelRecord)


def test_good_records_keep_their_order():
    """Records come out as they stand in the file."""
    records = [raw_record(n) for n in range(3)]
    checked = check(*(json.dumps(record) for record in records))
    assert checked.records == records
    assert checked.rejected == []


def test_blank_lines_are_no_records():
    """They are skipped and still counted as lines."""
    checked = check("", GOOD, "   ", "broken", "")
    assert len(checked.records) == 1
    assert [record.line for record in checked.rejected] == [4]


def test_broken_json_is_rejected_with_line_and_column():
    """The others are used."""
    checked = check(GOOD, '{"text": ')
    (rejected,) = checked.rejected
    assert (rejected.line, rejected.field) == (2, "")
    assert rejected.reason == "not JSON: Expecting value at column 10"


def test_wrong_field_is_rejected_with_its_path():
    """A nested field is named as a dotted path."""
    wrong = raw_record(2)
    wrong["label"]["tags"] = ["a", "b", 3]
    (rejected,) = check(GOOD, json.dumps(wrong)).rejected
    assert rejected.field == "label.tags.2"
    assert rejected.reason == "label.tags[2]: Input should be a valid string"


def test_every_problem_of_a_record_is_told():
    """One rejection lists all that is wrong."""
    wrong = {**raw_record(2), "text": " ", "color": "blue"}
    (rejected,) = check(GOOD, json.dumps(wrong)).rejected
    assert "text: it is empty" in rejected.reason
    assert "color: Extra inputs are not permitted" in rejected.reason


@pytest.mark.parametrize("line", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_rejected(line):
    """A record is an object."""
    (rejected,) = check(GOOD, line).rejected
    assert rejected.field == ""
    assert "LabelRecord" in rejected.reason or "object" in rejected.reason


@pytest.mark.parametrize("line", ["NaN", '{"text": NaN}', "[" * 100_000, "9" * 5000])
def test_hostile_line_is_rejected_like_any_other(line):
    """Deep nesting and huge numbers break neither the run nor the other records."""
    checked = check(GOOD, line)
    assert (len(checked.records), len(checked.rejected)) == (1, 1)


def test_line_separators_inside_a_string_are_text():
    """Only a newline ends a record: U+2028 may stand in a text."""
    record = raw_record(1, text="one\u2028two\x85three")
    checked = check(json.dumps(record, ensure_ascii=False))
    assert checked.records == [record]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_empty_file_is_an_error(text):
    """The error names raw_records and says that the file is empty."""
    with pytest.raises(SettingError, match=r"raw_records=.*the file is empty.*README"):
        check_records(text, LabelRecord)


def test_file_without_a_usable_record_is_an_error():
    """The error shows the first rejection."""
    with pytest.raises(
        SettingError, match=r"raw_records='2 records'.*line 1, not JSON"
    ):
        check("x", "y")


def test_examples_have_their_inputs_marked():
    """Records become examples in the same order."""
    examples = to_examples([raw_record(1), raw_record(2)], LabelRecord)
    assert [example.label.product for example in examples] == ["Item1", "Item2"]
    assert examples[0].inputs().keys() == ["text"]


def test_records_of_another_role_are_an_error():
    """Splits that another role made are named, with what makes them anew."""
    with pytest.raises(SettingError, match=r"LabelRecord.*another role.*data_prep"):
        to_examples([{"message": "hello"}], LabelRecord)
