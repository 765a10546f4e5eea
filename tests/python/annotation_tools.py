"""What the annotation tools' own readers make of exported files, as JSON.

label-studio CONFIG TASKS   label-studio-sdk: the interface and what its validation says of the tasks
cvat FILE                   datumaro's reader of CVAT's XML
elan FILE                   pympi: tiers and linked files
elan-edit FILE TIER AT_MS VALUE   pympi: gives the annotation at a time another value and saves the file
csv FILE                    pandas: the columns, and rows by column
"""

import importlib.abc
import importlib.machinery
import json
import sys
from unittest.mock import MagicMock


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Packages that the readers import for pictures, networks and servers, and that reading annotations never calls."""

    NAMES = set(
        "PIL appdirs cachetools cv2 httpx ijson imagesize json_stream json_stream_rs_tokenizer jsf jwt nltk orjson "
        "pycocotools requests requests_mock ruamel shapely tqdm typer ujson urllib3 watchfiles yaml".split()
    )

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in self.NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock()
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Absent())


def label_studio(config, tasks):
    from label_studio_sdk.label_interface import LabelInterface

    with open(config) as file:
        interface = LabelInterface(file.read())
    interface.validate()
    with open(tasks) as file:
        tasks = json.load(file)
    regions = 0
    for task in tasks:
        for tag in interface.objects:
            assert not tag.value_is_variable or task["data"].get(tag.value_name), tag
        for prediction in task["predictions"]:
            errors = interface.validate_prediction(prediction, return_errors=True)
            assert not errors, errors
            regions += len(prediction["result"])
    controls = {name: sorted(control.labels) for name, control in interface._controls.items()}
    return {"controls": controls, "regions": regions}


def cvat(path):
    from datumaro.components.annotation import AnnotationType
    from datumaro.plugins.data_formats.cvat.base import CvatBase

    dataset = CvatBase(path)
    labels = dataset.categories()[AnnotationType.label]
    boxes = []
    for item in dataset:
        for box in item.annotations:
            label = labels.items[box.label].name
            boxes.append({"frame": item.attributes["frame"], "label": label, "points": box.points, **box.attributes})
    return {"attributes": sorted(labels.attributes | labels.items[0].attributes), "boxes": boxes}


def elan(path):
    from pympi.Elan import Eaf

    eaf = Eaf(path)
    tiers = {tier: eaf.get_annotation_data_for_tier(tier) for tier in eaf.get_tier_names()}
    linked = [link["RELATIVE_LINK_URL"] for link in eaf.get_linked_files() if "RELATIVE_LINK_URL" in link]
    linked += [link["RELATIVE_LINK_URL"] for link in eaf.get_secondary_linked_files()]
    return {"tiers": tiers, "linked": linked, "vocabulary": sorted(eaf.get_controlled_vocabulary_names())}


def elan_edit(path, tier, at_ms, value):
    from pympi.Elan import Eaf

    eaf = Eaf(path)
    [(begin, end, *_)] = eaf.get_annotation_data_at_time(tier, int(at_ms))
    assert eaf.remove_annotation(tier, int(at_ms)) == 1
    eaf.add_annotation(tier, begin, end, value)
    eaf.to_file(path)
    return {"begin": begin, "end": end}


def csv(path):
    import pandas

    table = pandas.read_csv(path)
    rows = json.loads(table.head(200).dropna(axis=1, how="all").to_json(orient="records", double_precision=15))
    return {"columns": list(table.columns), "rows": rows, "count": len(table)}


if __name__ == "__main__":
    tool, *arguments = sys.argv[1:]
    tools = {"label-studio": label_studio, "cvat": cvat, "elan": elan, "elan-edit": elan_edit, "csv": csv}
    json.dump(tools[tool](*arguments), sys.stdout)
