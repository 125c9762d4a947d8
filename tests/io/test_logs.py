import logging

from napari_ini3d.io.logs import log_to_file


def test_the_log_holds_what_the_package_says_and_only_while_it_is_open(tmp_path):
    logger = logging.getLogger("napari_ini3d.engine")
    path = tmp_path / "log.txt"
    with log_to_file(path):
        logger.info("inside")
        logging.getLogger("other").warning("stranger")
    logger.warning("after")
    with log_to_file(path):
        logger.info("again")
    lines = path.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["inside", "again"]
