"""``python -m benchmarks.rest``."""

from benchmarks.load import print_rows
from benchmarks.rest import measure

print_rows(measure())
