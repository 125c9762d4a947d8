"""Print the coverage of the last test run: the total, and the modules that are covered least."""

import json
import tempfile
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import NoDataError

SHOWN = 10


def main() -> None:
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        try:
            coverage.json_report(outfile=str(path))
        except NoDataError:  # no test has run
            return
        report = json.loads(path.read_text("utf-8"))
    modules = {name: file["summary"] for name, file in report["files"].items()}
    least = sorted(modules.items(), key=lambda item: item[1]["percent_covered"])[:SHOWN]
    total = report["totals"]
    covered, count = total["percent_covered"], total["num_statements"]
    print(f"\nCoverage: {covered:.1f} % of {count:,} statements. Least covered modules:")
    for name, summary in least:
        missing = summary["missing_lines"]
        print(f"{summary['percent_covered']:7.1f} %  {name} ({missing} not run)")


if __name__ == "__main__":
    main()
