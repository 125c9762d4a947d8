import threading

from napari_ini3d.plugin.session.latest_value import Delivery, LatestValue


def test_an_empty_mailbox_gives_nothing():
    assert LatestValue().take() is None


def test_what_was_put_in_is_taken_out_once():
    box = LatestValue()
    box.put("first")
    assert box.take() == Delivery("first", 0)
    assert box.take() is None


def test_only_the_newest_is_kept_and_the_others_are_counted():
    box = LatestValue()
    for number in range(40):
        box.put(number)
    assert box.take() == Delivery(39, 39)
    box.put(40)
    assert box.take() == Delivery(40, 0)


def test_items_from_another_thread_are_shown_or_counted_as_dropped():
    box, taken = LatestValue(), []
    thread = threading.Thread(target=lambda: [box.put(i) for i in range(20_000)])
    thread.start()
    while thread.is_alive():
        if (delivery := box.take()) is not None:
            taken.append(delivery)
    if (delivery := box.take()) is not None:
        taken.append(delivery)
    assert taken[-1].item == 19_999
    assert [d.item for d in taken] == sorted(d.item for d in taken)
    assert len(taken) + sum(d.dropped for d in taken) == 20_000
