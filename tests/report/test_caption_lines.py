from napari_ini3d.report import break_caption

CAPTION = "run · iteration 40 · 12.3 Å (FSC 0.5)"


def test_a_caption_breaks_between_its_parts_where_it_is_too_long():
    assert break_caption(CAPTION, lambda line: len(line) <= 100) == [CAPTION]
    assert break_caption(CAPTION, lambda line: len(line) <= 20) == [
        "run · iteration 40",
        "12.3 Å (FSC 0.5)",
    ]


def test_a_part_that_is_too_long_alone_is_not_broken():
    assert break_caption(CAPTION, lambda line: False) == CAPTION.split(" · ")
