import threading

from napari_ini3d.plugin.session.latest_value import LatestValue


def test_before_the_first_value_there_is_none():
    assert LatestValue().take() == (None, 0)


def test_a_value_is_taken_once():
    latest = LatestValue()
    latest.put("first")
    assert latest.take() == ("first", 0)
    assert latest.take() == (None, 0)


def test_only_the_newest_value_is_kept_and_the_others_are_counted():
    latest = LatestValue()
    for number in range(40):
        latest.put(number)
    assert latest.take() == (39, 39)
    latest.put(40)
    assert latest.take() == (40, 0)


def test_every_value_of_another_thread_is_taken_or_counted_as_dropped():
    latest, taken = LatestValue(), []
    thread = threading.Thread(target=lambda: [latest.put(i) for i in range(20_000)])
    thread.start()
    while thread.is_alive():
        taken.append(latest.take())
    taken.append(latest.take())
    values = [value for value, _ in taken if value is not None]
    assert values[-1] == 19_999
    assert values == sorted(values)
    assert len(values) + sum(dropped for _, dropped in taken) == 20_000
