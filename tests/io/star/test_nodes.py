"""The list of output nodes, in the forms that RELION 3.1, 4 and 5 read."""

import pytest
import starfile

from napari_ini3d.io import OutputNode, write_output_nodes

NODES = [
    OutputNode("External/job012/initial_model.mrc", "map"),
    OutputNode("External/job012/run_it200_data.star", "particles"),
    OutputNode("External/job012/logfile.pdf", "log"),
]
PIPELINES = {  # of projects of these versions, from their default_pipeline.star
    "3.1": "_rlnPipeLineNodeType #2\nSelect/job011/particles.star            3\n",
    "4": "_rlnPipeLineNodeTypeLabel #2\nSelect/job011/particles.star ParticlesData.star.relion\n",
    "5": "_rlnPipeLineNodeTypeLabel #2\n"
    "Select/job011/particles.star ParticleGroupMetadata.star.relion 1\n",
}
PARTICLES = {
    "3.1": "ParticleGroupMetadata.star.relion",  # not read: 3.1 has numbers
    "4": "ParticlesData.star.relion",
    "5": "ParticleGroupMetadata.star.relion",
    "none": "ParticleGroupMetadata.star.relion",
}


@pytest.mark.parametrize("version", PARTICLES)
def test_nodes_have_the_number_and_the_label_of_their_type(tmp_path, version):
    if version in PIPELINES:
        (tmp_path / "default_pipeline.star").write_text(PIPELINES[version])
    write_output_nodes(tmp_path / "nodes.star", NODES, tmp_path)
    (name, table), *others = starfile.read(tmp_path / "nodes.star", always_dict=True).items()
    assert name == "output_nodes"
    assert not others
    assert list(table["rlnPipeLineNodeName"]) == [node.name for node in NODES]
    assert list(table["rlnPipeLineNodeType"]) == [6, 3, 13]
    labels = list(table["rlnPipeLineNodeTypeLabel"])
    assert labels[0] == "DensityMap.mrc.relion.initialmodel"
    assert labels[1] == PARTICLES[version]
    assert labels[2].startswith("LogFile.pdf.")
