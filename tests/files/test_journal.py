import errno
import json
import re
import tracemalloc
from io import BytesIO

import pytest

from jsisnet.files.journal import JOURNAL, open_journal


def test_items_are_read_back_by_their_positions(tmp_path):
    with open_journal(tmp_path / JOURNAL, "count") as journal:
        positions = [journal.add({"number": number}) for number in range(3)]

    with open_journal(tmp_path / JOURNAL, "count") as journal:
        assert journal.count == 3
        assert list(journal.read([positions[2], positions[0]])) == [{"number": 2}, {"number": 0}]


@pytest.mark.parametrize("isfinished", [False, True])
def test_work_of_another_purpose_is_refused_or_overwritten(tmp_path, isfinished):
    with open_journal(tmp_path / JOURNAL, "count") as journal:
        journal.add({"number": 1})
        if isfinished:
            journal.finish({"sum": 1})

    refusal = "holds the result of another" if isfinished else "holds unfinished work of another"
    with pytest.raises(ValueError, match=refusal), open_journal(tmp_path / JOURNAL, "add"):
        pass
    with open_journal(tmp_path / JOURNAL, "add", restart=True) as journal:
        assert (journal.count, journal.finished) == (0, None)


@pytest.mark.parametrize("content", [b"mine", b"one\ntwo", b'{"purpose": "add"}\ntwo'])
def test_a_file_of_others_is_left_as_it_is(tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)

    with pytest.raises(ValueError, match="of another"), open_journal(tmp_path / JOURNAL, "count"):
        pass

    assert (tmp_path / JOURNAL).read_bytes() == content


def test_a_huge_file_of_others_is_not_read(tmp_path):
    with (tmp_path / JOURNAL).open("wb") as file:
        file.truncate(10**8)
    tracemalloc.start()

    with pytest.raises(ValueError, match="of another"), open_journal(tmp_path / JOURNAL, "count"):
        pass

    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b'{"pur', b'{"purpose": "ad'])
def test_an_incomplete_first_line_is_started_again(tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)

    with open_journal(tmp_path / JOURNAL, "count") as journal:
        journal.add({"number": 1})

    with open_journal(tmp_path / JOURNAL, "count") as journal:
        assert list(journal) == [{"number": 1}]


def test_finished_work_keeps_its_mark_alone(tmp_path):
    with open_journal(tmp_path / JOURNAL, "count") as journal:
        journal.add({"number": 1})
        journal.finish({"sum": 1})

    with open_journal(tmp_path / JOURNAL, "count") as journal:
        assert journal.finished == {"sum": 1}
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"purpose": "count"}, {"finished": {"sum": 1}}]


def test_a_damaged_line_names_the_journal(tmp_path):
    with open_journal(tmp_path / JOURNAL, "count") as journal:
        journal.file.write(b"nonsense\n")

    expected = f"{tmp_path / JOURNAL}: damaged; delete its folder to start again"
    with (
        open_journal(tmp_path / JOURNAL, "count") as journal,
        pytest.raises(ValueError, match=re.escape(expected)),
    ):
        list(journal)


class Full(BytesIO):
    def flush(self):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_names_the_journal(tmp_path):
    with open_journal(tmp_path / JOURNAL, "count") as journal:
        whole, journal.file = journal.file, Full()
        with pytest.raises(OSError, match="No space left") as caught:
            journal.add({"number": 1})
        journal.file = whole

    assert caught.value.filename == str(tmp_path / JOURNAL)
