"""How experts, counts and bytes are written."""

from moe_lib.notation import bytes_text, count_text, letter


def test_experts_have_letters():
    assert [letter(e) for e in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]


def test_numbers_have_three_digits_and_a_unit():
    assert [count_text(n) for n in (0, 7, 999, 1000, 12_879_925_248)] == [
        "0", "7", "999", "1 K", "12.9 B"]  # fmt: skip
    assert [bytes_text(n) for n in (0, 1023, 1536, 2**30)] == [
        "0 B", "1,023 B", "1.5 KiB", "1 GiB"]  # fmt: skip
