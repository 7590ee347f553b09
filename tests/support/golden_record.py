"""Record what every command writes, and compare two records.

A refactoring must not change what the commands do. This script runs them on small generated data,
as users do, and keeps a digest of every file that they write. It calls nothing but the command
line, so it does not depend on how the package is laid out; PYTHONPATH chooses the code:

    PYTHONPATH=old/src python golden_record.py --out before.json
    PYTHONPATH=new/src python golden_record.py --out after.json
    python golden_record.py --compare before.json after.json

Values that differ from run to run are not compared: times and memory, in JSON files and in the
output, and files that consist mostly of them (see UNSTEADY). Paths are relative, so they do not
depend on the working folder. Sentences may be reworded: of messages, pages and texts only the
numbers are compared, and of pages also the pictures, unless --text is given.
"""

import argparse
import difflib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from configparser import ConfigParser
from pathlib import Path
from subprocess import DEVNULL
from textwrap import shorten
from threading import Semaphore
from typing import Any

Record = dict[str, dict[str, Any]]
"""Results of each step: exit code, digests of files, numbers in the output, and wording."""

COMMANDS = r"""
[Made by the script golden_inputs.py]
inputs = + inputs scenes to_instances to_channels OUT
even = + even trained mixed OUT

[Data]
scenes = data generate --out OUT --train 10 --val 4
larger = data generate --out OUT --train 2 --val 1 --size 96x160 --seed 7
checked = data check --images scenes/val --annotations VAL --other TRAIN --other-images scenes/train
    --json OUT/it.json
check_faults = data check --images scenes/val --annotations inputs/faults.json
    --pngs scenes/panoptic_val --examples 2 --json OUT/it.json
check_fix = data check --images scenes/val --annotations inputs/faults.json
    --pngs scenes/panoptic_val --fix OUT
check_vistas = data check --format vistas --root inputs/vistas --split training --json OUT/it.json
to_instances = data convert --from coco --annotations TRAIN --to coco-instances --out OUT
to_channels = data convert --from coco --annotations TRAIN --to two-channel --out OUT
to_pairs = data convert --from coco --annotations TRAIN --to semantic-instance --out OUT
to_cityscapes = data convert --from coco --annotations TRAIN --to cityscapes --out OUT
from_zip = data convert --from coco --annotations VAL --pngs inputs/maps.zip --out OUT --processes 1
from_instances = data convert --from coco-instances --annotations to_instances/instances.json
    --semantic to_instances/semantic --categories to_instances/index.json
    --images scenes/train --out OUT
from_outlines = data convert --from coco-instances --annotations inputs/outlines.json
    --images scenes/train --out OUT
from_channels = data convert --from two-channel --pngs to_channels/maps
    --categories to_channels/index.json --images scenes/train --out OUT
from_pairs = data convert --from semantic-instance --semantic to_pairs/semantic
    --instances to_pairs/instances --categories to_pairs/index.json --void 0 --out OUT
from_cityscapes = data convert --from cityscapes --root to_cityscapes --split all
    --categories to_cityscapes/index.json --out OUT
from_vistas = data convert --from vistas --root inputs/vistas --split training --out OUT
stats_all = data stats --annotations TRAIN --images scenes/train --out OUT --json OUT/it.json
stats_pairs = data stats --format semantic-instance --semantic to_pairs/semantic
    --instances to_pairs/instances --categories to_pairs/index.json --json OUT/it.json
look = data show --annotations TRAIN --images scenes/train --out OUT/it.png
look_class = data show --annotations TRAIN --images scenes/train --class ball --random 7 --count 4
    --overlay --out OUT/it.jpg
look_maps = data show --format two-channel --pngs to_channels/maps
    --categories to_channels/index.json --first --count 2 --out OUT/it.png
parts = data split --annotations TRAIN --out OUT --parts a=0.5 b=rest
parts_groups = data split --annotations TRAIN --out OUT --parts a=1/2 b=1/2 --seed 1
    --group '(.*)\d\.png'
parts_instances = data split --format coco-instances --annotations to_instances/instances.json
    --out OUT --parts a=7 b=3
join = data merge-classes --annotations VAL --mapping inputs/classes.yaml --out OUT
join_only = data merge-classes --from two-channel --pngs to_channels/maps
    --categories to_channels/index.json --mapping inputs/classes.yaml --only --out OUT
join_by = data merge-classes --annotations VAL --by supercategory --out OUT

[Predictions of others]
score_all = score TRAIN inputs/shifted.json --boundary --json OUT/it.json --csv OUT/classes.csv
    --images-csv OUT/images.csv --report OUT/report --images scenes/train
score_strict = score TRAIN inputs/shifted.json --mode strict --truth-pngs scenes/panoptic_train
    --prediction-pngs inputs/shifted --json OUT/it.json
score_crowds = score TRAIN inputs/shifted.json --mode all-crowds --processes 1 --json OUT/it.json
    --report OUT/report
score_partial = score TRAIN inputs/partial.json --missing-as-void --recount-areas --keep-going
    --prediction-pngs inputs/shifted --json OUT/it.json
merge_masks = merge --image-info TRAIN --instances inputs/instances.json
    --semantic to_instances/semantic --merge.owner score --merge.min-stuff-area 100
    --out OUT/it.json
merge_arrays = merge --image-info TRAIN --instances inputs/boxes --semantic inputs/logits
    --merge.min-stuff-area 900 --merge.replacement greedy --out OUT/it.json
merge_kirillov = merge --image-info TRAIN --instances inputs/instances.json
    --semantic inputs/stuff.json --rules kirillov --kirillov.min-stuff-area 500 --out OUT/it.json
score_merged = score TRAIN merge_arrays/it.json --json OUT/it.json
differ = compare score_all/it.json score_merged/it.json --samples 200 --top 3 --json OUT/it.json
    --csv OUT/it.csv
differ_common = compare score_all/it.json score_partial/it.json --common --seed 3 --json OUT/it.json
pack = submit --image-info TRAIN --predictions inputs/shifted.json --split val --name others
    --out OUT --keep-maps
pack_check = submit --image-info TRAIN --check pack/panoptic_val_others_results.zip

[Training]
trained = train inputs/short.yaml --out OUT
resumed = train inputs/short.yaml --out OUT
mixed = train inputs/mixed.yaml --out OUT --track tensorboard
batch = show-batch inputs/short.yaml --count 4 --out OUT/it.jpg
batch_mixed = show-batch inputs/mixed.yaml --step 3 --augment.max-scale 3 --out OUT/it.png
curves = plot even/trained even/mixed --out OUT/it.png
network_coco = describe coco.yaml
network_lite = describe lite.yaml --things 37 --stuff 28
network_street = describe street

[Models]
maps_coco = predict inputs/photos --out OUT
maps_street = predict scenes/val inputs/photos/coffee.png --model street --no-overlay --out OUT
maps_options = predict "inputs/photos/c*.png" --merge.canvas original --merge.min-score 0.3
    --network.detection.min-score 0.3 --instances-from coco --device cpu --out OUT
maps_demo = demo --out OUT
drawn = show inputs/photos/coffee.png maps_coco/coffee.png maps_coco/predictions.json
    --upright --out OUT/it.jpg
measured_coco = evaluate --images inputs/photos --annotations maps_coco/predictions.json
    --pngs maps_coco --merge.canvas original --merge.owner score --out OUT --json OUT/it.json
measured_trained = evaluate --model trained --images scenes/val --annotations VAL --recount-areas
    --merge.min-score 0 --network.detection.min-score 0 --out OUT --json OUT/it.json
    --report OUT/report
measured_vistas = evaluate --model mixed --images inputs/vistas/training/images
    --annotations inputs/vistas/training --no-ap --json OUT/it.json
pack_trained = submit --image-info VAL --images scenes/val --model trained --split val --name mine
    --out OUT
weights = imagenet --out OUT/it.safetensors

[Experiments]
paper_table1 = reproduce table1 --images inputs/photos --annotations maps_coco/predictions.json
    --pngs maps_coco --model coco --json OUT/it.json
paper_table2 = reproduce table2 inputs/short.yaml --json OUT/it.json
paper_tiny = reproduce table2 --tiny --runs OUT --json OUT/it.json
paper_table3 = reproduce table3 inputs/short.yaml --seeds 1 --train.steps 2 --train.log-every 1
    --train.pictures 0 --out OUT --json OUT/it.json
paper_table4 = reproduce table4 --images scenes/val --annotations VAL --model trained
    --json OUT/it.json
paper_ablation = reproduce merge-ablation --images inputs/photos
    --annotations maps_coco/predictions.json --pngs maps_coco --model coco --json OUT/it.json
paper_figure1 = reproduce figure1 inputs/photos/coffee.png --model coco --out OUT/it.png
paper_figure3 = reproduce figure3 inputs/photos --model coco --out OUT/it.jpg
paper_speed = reproduce speed inputs/short.yaml --rounds 1 --processes 0 --json OUT/it.json

[Mistakes]
bad_command = nonsense
bad_option = predict inputs/photos --nonsense 1 --out OUT
bad_choice = score VAL VAL --mode nonsense
bad_missing = score nowhere.json VAL
bad_json = data stats --annotations inputs/broken.png
bad_prediction = score VAL inputs/empty.json --prediction-pngs scenes/panoptic_val
bad_photo = predict inputs/broken.png scenes/val/000001.png --model street --out OUT
bad_model = predict scenes/val --model nowhere --out OUT
bad_classes = evaluate --images scenes/val --annotations VAL --out OUT
bad_setting = train inputs/short.yaml --out OUT --optim.lrr 1
bad_run = train inputs/short.yaml --out trained
bad_size = data generate --out OUT --size 3x
bad_name = data show --annotations VAL --out OUT/it.txt
bad_shares = data split --annotations VAL --out OUT --parts a=0.5 b=0.1
bad_archive = submit --image-info VAL --check inputs/maps.zip
bad_pair = compare score_all/it.json nowhere.json
"""
"""Command of each step; + stands for `golden_inputs.py`. OUT is the folder of the step, and paths
that begin with the name of another step are files of that step; TRAIN and VAL are the ground truth
of the scenes."""

HELP = """predict,demo,evaluate,score,compare,submit,merge,train,show-batch,plot,show,describe,
imagenet,reproduce,reproduce table1,reproduce table2,reproduce table3,reproduce table4,
reproduce figure1,reproduce figure3,reproduce speed,reproduce merge-ablation,data,data check,
data convert,data generate,data merge-classes,data show,data split,data stats"""
"""Commands whose option names are recorded from their help."""

KILLED = {"resumed": ("checkpoint.pt", "--resume")}
"""Steps that are terminated once a file exists, and then resumed with an option."""

UNSTEADY = re.compile(r"\.pt$|/?plot\.png$|events\.out\.tfevents\.")
"""Files of which only the existence is compared, because they hold times or memory."""

TIMES = re.compile(r"seconds|megabytes|memory|per_second")
"""Keys of JSON files whose values differ from run to run: times and memory."""

NUMBER = r"(?<![\w.])-?\d+(?:[.,]\d+)*"
SPENT = re.compile(r"\S+ left|photos/s \S+|memory \S+ MB")
TIMED = dict.fromkeys(("paper_speed", "paper_table3"), re.compile(rf"[ ─]*{NUMBER}|─+"))
"""Times and memory in the output of two experiments; their JSON files have all other values."""

ROW = re.compile(r"(?m)^.*\S {2,}\S.* {2,}\S.*$")
"""A row of a table, whose numbers are compared; all other output is wording."""

SENTENCE, MOST = 5, 200
"""Words from which a string in a JSON file counts as a sentence, and length of a difference."""

PATHS = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in PATHS),
    "PYTHONSAFEPATH": "1",  # folders of steps are not packages
    "OMP_NUM_THREADS": "1",  # sums over several threads depend on their order
    "CUDA_VISIBLE_DEVICES": "",
    "COLUMNS": "100",
    "TERM": "dumb",
}


def read_steps() -> dict[str, list[str]]:
    """Return the arguments of each step's command."""
    parser = ConfigParser(interpolation=None, delimiters="=")
    parser.read_string(COMMANDS)
    parts = (parser[part].items() for part in parser.sections())
    steps = {name: shlex.split(line) for part in parts for name, line in part}
    helped = (name.split() for name in " ".join(HELP.split()).split(","))
    return steps | {"_".join(["help", *words]): [*words, "--help"] for words in helped}


STEPS = read_steps()
TRUTH = {"TRAIN": "scenes/panoptic_train.json", "VAL": "scenes/panoptic_val.json"}


def needs(name: str) -> set[str]:
    """Return the steps whose files a step reads."""
    words = {TRUTH.get(word, word).split("/")[0] for word in STEPS[name]}
    return words & STEPS.keys() - {name}


def in_order(names: Iterable[str]) -> list[str]:
    """Return steps in order, each after the steps it depends on."""
    found: dict[str, None] = {}
    for name in names:
        if name not in found:
            found |= dict.fromkeys([*in_order(sorted(needs(name))), name])
    return list(found)


def record(work: Path, names: Iterable[str], jobs: int) -> Record:
    """Run steps, at most `jobs` at once, and return their results."""
    results: Record = {}
    waiting = in_order(names)
    free = Semaphore(jobs)

    def take(name: str, earlier: list[Future[None]]) -> None:
        wait(earlier)  # a step whose files are missing fails by itself
        out = work / name
        with free:
            out.mkdir()
            result = call(name, work)
        files, wording = digests(out)
        results[name] = result | {"files": files, "text": result["text"] | wording}

    taken: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(waiting)) as pool:
        for name in waiting:
            taken[name] = pool.submit(take, name, [taken[other] for other in needs(name)])
        for name, future in taken.items():
            error = future.exception()
            if error is not None:
                results[name] = {"exit": repr(error)}
            sys.stderr.write(f"{name}: {results[name]['exit']}\n")
    return results


def call(name: str, work: Path) -> dict[str, Any]:
    """Run the command of a step, and return its exit code and output."""
    words = [TRUTH.get(word, re.sub(r"^OUT\b", name, word)) for word in STEPS[name]]
    own = str(Path(__file__).resolve().with_name("golden_inputs.py"))
    program = [own, *words[1:]] if words[0] == "+" else ["-m", "jsisnet", *words]
    command = [sys.executable, *program]
    result: dict[str, Any] = {}
    if name in KILLED:
        awaited, option = KILLED[name]
        process = subprocess.Popen(
            command, cwd=work, env=ENVIRONMENT, stdout=DEVNULL, stderr=DEVNULL
        )
        while process.poll() is None and not (work / name / awaited).exists():
            time.sleep(0.01)
        process.terminate()
        result["exit when terminated"] = process.wait()
        command.append(option)
    done = subprocess.run(
        command, cwd=work, env=ENVIRONMENT, capture_output=True, text=True, timeout=900, check=False
    )
    spent = TIMED.get(name, SPENT)
    out, err = (
        spent.sub("", said.replace(str(work), "WORK")) for said in (done.stdout, done.stderr)
    )
    if "--help" in words:
        figures = sorted(set(re.findall(r"--[a-z][\w.-]*", out)))
    else:
        figures = [number for row in ROW.findall(out) for number in re.findall(NUMBER, row)]
    text = {"stdout": out, "stderr": err}
    return result | {"exit": done.returncode, "figures": "\n".join(figures), "text": text}


def digests(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return digests of files without messages, and of files with messages including them."""
    files, texts = {}, {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if UNSTEADY.search(name):
            name, content = re.sub(r"(tfevents).*", r"\1", name), b""
        elif path.suffix in (".html", ".txt"):
            texts[name] = digest(content)
            page = re.sub(r"(?s)<(style|script)>.*?</\1>", "", content.decode())
            content = "\n".join(re.findall(rf"data:image[^\"]+|{NUMBER}", page)).encode()
        elif path.suffix in (".json", ".jsonl"):
            lines = content.splitlines() if path.suffix == ".jsonl" else [content]
            values = [json.loads(line) for line in lines]
            bare, worded = steady(values), steady(values, sentences=True)
            if bare != worded:
                texts[name] = digest(json.dumps(worded).encode())
            if bare != values:
                content = json.dumps(bare).encode()
        files[name] = digest(content)
    return files, texts


def steady(value: object, *, sentences: bool = False) -> object:
    """Remove times and memory from a JSON value, and everything but numbers from sentences."""
    if isinstance(value, dict):
        costs = value.keys() - {"name", "unit"} if "unit" in value else ()
        kept = (key for key in value if key not in costs and not TIMES.search(key))
        return {key: steady(value[key], sentences=sentences) for key in kept}
    if isinstance(value, list):
        return [steady(each, sentences=sentences) for each in value]
    if isinstance(value, str) and len(value.split()) >= SENTENCE and not sentences:
        return re.findall(NUMBER, value)
    return value


def digest(content: bytes) -> str:
    """Return the digest of some contents."""
    return hashlib.sha256(content).hexdigest()


def differences(before: Record, after: Record, *, text: bool) -> Iterator[str]:
    """Return a line per difference; messages and wording are compared only on demand."""
    for step in sorted(before.keys() | after.keys()):
        if step not in before or step not in after:
            yield f"{step}: is missing in the {'second' if step in before else 'first'} record"
            continue
        old, new = (flat(record[step], text=text) for record in (before, after))
        for part in sorted(old.keys() | new.keys()):
            first, second = (each.get(part, "(none)").split("\n") for each in (old, new))
            changes = list(difflib.unified_diff(first, second, n=0, lineterm=""))[2:]
            changed = " ".join(line for line in changes if not line.startswith("@@"))
            if changed:
                yield f"{step}: {part}: {shorten(changed, MOST)}"


def flat(step: dict[str, Any], *, text: bool) -> dict[str, str]:
    """Return what is compared of a step by name: each file, and the rest."""
    found = {name: str(value) for name, value in step.items() if name not in ("files", "text")}
    found |= step.get("files", {})
    if text:
        found |= {f"text of {name}": each for name, each in step.get("text", {}).items()}
    return found


def main() -> int:
    """Record or compare, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="file that receives the record")
    parser.add_argument("--work", type=Path, help="new folder for what the steps write; kept")
    parser.add_argument("--only", nargs="+", choices=[*STEPS], metavar="NAME", help="steps to take")
    parser.add_argument("--jobs", type=int, default=2, help="steps taken at once")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FILE", help="records to compare")
    parser.add_argument("--text", action="store_true", help="compare messages and wording too")
    options = parser.parse_args()
    if options.compare:
        before, after = (json.loads(path.read_text()) for path in options.compare)
        found = list(differences(before, after, text=options.text))
        sys.stdout.writelines(f"{line}\n" for line in found)
        return int(bool(found))
    if options.out is None:
        parser.error("expected --out or --compare")
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary, "work")).resolve()
        work.mkdir(parents=True)
        result = record(work, options.only or STEPS, options.jobs)
    options.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
