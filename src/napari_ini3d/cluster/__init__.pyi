from .chunks import DaskChunks as DaskChunks
from .connection import (
    Cluster as Cluster,
    OpenCluster as OpenCluster,
    check_cluster as check_cluster,
    connect as connect,
    open_cluster as open_cluster,
)
from .recipes import StackRecipe as StackRecipe
from .service import (
    check_is_new as check_is_new,
    serve_cluster as serve_cluster,
    stop_cluster as stop_cluster,
)
from .spec import ClusterSpec as ClusterSpec, parse_spec as parse_spec
from .status import (
    ClusterStatus as ClusterStatus,
    WorkerStatus as WorkerStatus,
    inspect_cluster as inspect_cluster,
)
from .versions import package_versions as package_versions
