"""A cluster is opened once for several runs."""

import os

from napari_ini3d.cluster import check_cluster, connect, open_cluster, parse_spec


def test_an_open_cluster_keeps_its_workers_for_the_next_run():
    with open_cluster(parse_spec("local:2"), 2) as opened:
        assert check_cluster(opened) is opened
        found = []
        for _ in range(2):
            with connect(opened, 2) as client:
                client.wait_for_workers(2)
                found.append(client.run(os.getpid))
    assert len(found[0]) == 2
    assert found[0] == found[1]
