"""`jsisnet data list`: list the photos of a folder, for `submit` and `merge`."""

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import File, Folder
from jsisnet.cli.outputs import refuse_to_replace


def list(*, images: Folder, categories: File, out: File) -> None:
    """List the photos of a folder with their sizes, as `submit` and `merge` need them.

    The list is a COCO file with images and categories, for photos without one, such
    as the test set of Mapillary Vistas. The id of a photo is its path without the
    suffix; if all of them are numbers, as on COCO, the number.

    For example
        jsisnet data list --images testing/images --categories config_v1.2.json
          --out vistas_test.json
        jsisnet data list --images photos --categories panoptic_val2017.json
          --out list.json

    Args:
        images: Folder of the photos and its subfolders.
        categories: COCO file with the categories, or config.json of Mapillary Vistas.
        out: JSON file to write, for --image-info of `jsisnet submit` and `jsisnet merge`.
    """
    from jsisnet.formats import image_list, vistas

    refuse_to_replace([categories], [out])
    classes = vistas.read_any_categories(categories)
    with progress("reading sizes") as advance:
        listed = image_list.of_folder(images, on_image=advance)
    image_list.write(out, listed, classes)
    things = len(classes.thing_labels)
    display(
        f"Wrote {out}: {len(listed):,} images, {things} thing and {len(classes) - things} stuff "
        "classes"
    )
