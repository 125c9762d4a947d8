from .compare import MapComparison as MapComparison, compare_maps as compare_maps
from .register import check_pair as check_pair, register_maps as register_maps
