"""The history of ideas: well-formed, and in step with the chapters there are."""

import re

import pytest

from moe_lib.course.ideas_timeline import (
    IDEAS,
    LANES,
    Idea,
    chapter_number,
    chapters_here,
    leads_to,
)

BY_ID = {idea.id: idea for idea in IDEAS}


def test_ids_and_names_are_unique():
    assert len(BY_ID) == len({idea.name for idea in IDEAS}) == len(IDEAS)


def test_years_rise_along_each_line_and_down_the_list():
    years = [idea.year for idea in IDEAS]
    assert years == sorted(years) and years[0] == 1991
    for place, idea in enumerate(IDEAS):
        for origin in idea.builds_on:
            assert IDEAS.index(BY_ID[origin]) < place, (origin, idea.id)


def test_an_idea_is_ten_words_at_most_and_fits_on_a_phone():
    for idea in IDEAS:
        assert len(idea.idea.split()) <= 10 and len(idea.idea) <= 43, idea.idea
        assert idea.wall and idea.by


def test_an_arxiv_number_is_of_the_idea_s_year():
    numbered = 0
    for idea in IDEAS:
        for year, month in re.findall(r"\b(\d\d)(\d\d)\.\d{4,5}\b", idea.by):
            numbered += 1
            assert 1 <= int(month) <= 12
            # submitted in the autumn for a conference of the year after
            assert idea.year - (2000 + int(year)) in (0, 1), idea
    assert numbered > 20


def test_every_chapter_that_there_is_has_an_idea_and_the_names_agree():
    """A chapter that is yet to be written may be named; a number is named one way."""
    named = {idea.chapter for idea in IDEAS} - {None}
    there = chapters_here()
    assert {"01_adaptive_mixtures", "04_switch"} <= there
    numbers = {chapter_number(name): name for name in there}
    assert set(numbers.values()) - {"00_start_here"} <= named
    for name in named:
        assert numbers.get(chapter_number(name), name) == name


def test_chapters_beside_the_notebook_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "77_lucky.ipynb").touch()
    (tmp_path / "78_no_notebook.txt").touch()
    found = chapters_here()
    assert "77_lucky" in found and "78_no_notebook" not in found


def test_what_comes_next_is_the_other_end_of_what_it_builds_on():
    lines = sum(len(idea.builds_on) for idea in IDEAS)
    assert sum(len(leads_to(idea)) for idea in IDEAS) == lines
    assert BY_ID["choice"] in leads_to(BY_ID["strict"])
    assert not leads_to(IDEAS[-1])


def test_each_lane_is_used_and_an_unknown_one_is_named():
    assert {idea.lane for idea in IDEAS} == set(LANES)
    with pytest.raises(ValueError, match="lane='dice': choose one of experts compete"):
        Idea("x", 2000, "X", "Y", "dice", "wall", "idea")


def test_numbers_of_chapters():
    assert chapter_number("04b_keeping_one_expert_in_line") == "4b"
