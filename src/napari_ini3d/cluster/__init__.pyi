from .chunks import DaskChunks as DaskChunks
from .connection import (
    Cluster as Cluster,
    OpenCluster as OpenCluster,
    check_cluster as check_cluster,
    connect as connect,
    open_cluster as open_cluster,
)
from .recipes import StackRecipe as StackRecipe
from .spec import ClusterSpec as ClusterSpec, parse_spec as parse_spec
from .versions import package_versions as package_versions
