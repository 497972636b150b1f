"""Each data set in its published layout: the real files where they are, small ones elsewhere."""

import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imc_bench.datasets import DATASETS, load_dataset, load_pixels
from imc_bench.metrics.scoring import score
from imc_data.errors import DataRefused
from imc_data.table_files import TableSource
from imc_reference.phantoms import MODALITIES


def picture(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (12, 10), 90 if mode == "L" else None).save(path)


def encoded(shade: int, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (12, 10), (shade,) * len(mode)).save(out, "JPEG")
    return out.getvalue()


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


# --- VQA-RAD


def rad_row(qid: object, **changes: object) -> dict[str, object]:
    return {
        "qid": qid,
        "phrase_type": "test_freeform",
        "qid_linked_id": "x",
        "image_case_url": "https://medpix.nlm.nih.gov/case?id=1",
        "image_name": "synpic1.jpg",
        "image_organ": "HEAD",
        "evaluation": "not evaluated",
        "question": "Is there a mass?",
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": "PRES",
        "answer": "Yes",
        "answer_type": "CLOSED",
    } | changes


@pytest.fixture
def rad(tmp_path: Path) -> Callable[..., Path]:
    def build(*rows: object) -> Path:
        write(tmp_path / "VQA_RAD Dataset Public.json", list(rows))
        picture(tmp_path / "VQA_RAD Image Folder" / "synpic1.jpg")
        return tmp_path

    return build


def test_vqa_rad_traps_of_the_published_file(rad: Callable[..., Path]) -> None:
    folder = rad(
        rad_row("1", answer=3, answer_type="OPEN"),
        rad_row(2, answer_type="CLOSED "),
        rad_row(3, question_type="PRSE"),
        rad_row(4, question_type="ATRIB, PRES"),
        rad_row(5, question_type=["SIZE", "PRES"]),
        rad_row(6, phrase_type="para"),
        rad_row(7, answer="  Right  lung \t", answer_type="OPEN"),
    )
    loaded = load_dataset("vqa-rad", folder)
    assert (loaded.split, loaded.bad_rows) == ("test", ())
    by_id = {item.item_id: item for item in loaded.items}
    assert list(by_id) == ["1", "2", "3", "4", "5", "7"]
    assert (by_id["1"].answer, by_id["1"].closed) == ("3", False)
    assert by_id["2"].closed
    assert [by_id[i].topic for i in "345"] == ["pres", "attrib", "size"]
    assert by_id["7"].answer == "Right lung"
    assert by_id["1"].image_group == "synpic1.jpg"
    assert [i.item_id for i in load_dataset("vqa-rad", folder, split="train").items] == ["6"]


def test_bad_rows_are_listed_with_the_reason_and_the_rest_is_kept(
    rad: Callable[..., Path],
) -> None:
    folder = rad(
        rad_row("1"),
        rad_row("2", answer=None),
        "not a row",
        rad_row("4", question="  "),
        rad_row("5", answer_type="MAYBE"),
        rad_row("6", answer=True),
        rad_row("7", phrase_type="other"),
        rad_row("8", image_name="../secret.jpg"),
        rad_row("9"),
    )
    loaded = load_dataset("vqa-rad", folder)
    assert [item.item_id for item in loaded.items] == ["1", "9"]
    told = {bad.where.split()[-1]: bad.why for bad in loaded.bad_rows}
    assert told == {
        "2": "answer is missing, not text",
        "3": "phrase_type is missing, not text",
        "4": "question is empty",
        "5": "answer_type is neither OPEN nor CLOSED",
        "6": "answer is of type bool, not text",
        "7": "phrase_type is none of freeform, para, test_freeform, test_para",
        "8": "the image name leads out of the data folder",
    }


# --- SLAKE


def slake_row(qid: int, **changes: object) -> dict[str, object]:
    return {
        "img_id": 1,
        "img_name": "xmlab1/source.jpg",
        "question": "What modality is used to take this image?",
        "answer": "MRI",
        "q_lang": "en",
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": qid,
    } | changes


@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_slake_keeps_the_english_pairs_of_any_split(tmp_path: Path, split: str) -> None:
    picture(tmp_path / "imgs" / "xmlab1" / "source.jpg")
    rows = [
        slake_row(1),
        # a Chinese pair whose image is not here: filtered before anything is checked
        slake_row(2, q_lang="zh", question="这是什么?", img_name="xmlab9/source.jpg"),
        slake_row(3, answer_type="CLOSED", answer="Left", content_type="Position"),
    ]
    write(tmp_path / f"{split}.json", rows)
    loaded = load_dataset("slake", tmp_path, split=split)
    assert [item.item_id for item in loaded.items] == ["1", "3"]
    assert [item.closed for item in loaded.items] == [False, True]
    assert [item.topic for item in loaded.items] == ["modality", "position"]
    assert loaded.bad_rows == ()


# --- PathVQA and the HuggingFace mirrors


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    arrow: Any = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    tables: Any = pytest.importorskip("pyarrow.parquet")

    def build(
        rows: list[dict[str, object]], name: str = "data/test-00000-of-00001.parquet"
    ) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        tables.write_table(arrow.Table.from_pylist(rows), file, row_group_size=2)
        return tmp_path

    return build


def cell(shade: int, mode: str = "RGB") -> dict[str, object]:
    return {"bytes": encoded(shade, mode), "path": None}


@pytest.mark.parametrize("name", ["path-vqa", "vqa-rad"])
def test_parquet_mirrors(parquet: Callable[..., Path], name: str) -> None:
    folder = parquet(
        [
            {"image": cell(10), "question": "where?", "answer": "liver"},
            {"image": cell(10), "question": "is it?", "answer": "Yes"},
            {"image": cell(200, "CMYK"), "question": "is it?", "answer": "no"},
        ]
    )
    loaded = load_dataset(name, folder, split="test")
    assert [item.item_id for item in loaded.items] == ["test-0", "test-1", "test-2"]
    assert [item.closed for item in loaded.items] == [False, True, True]
    groups = [item.image_group for item in loaded.items]
    assert groups[0] == groups[1] != groups[2], "one image, one cluster"
    assert loaded.items[2].image == TableSource(
        folder / "data" / "test-00000-of-00001.parquet", batch=1, row=0
    )
    assert [load_pixels(item).rgb.shape for item in loaded.items] == [(10, 12, 3)] * 3


def test_all_of_the_vqa_rad_mirror_is_both_its_splits(parquet: Callable[..., Path]) -> None:
    folder = parquet([{"image": cell(10), "question": "where?", "answer": "liver"}])
    with pytest.raises(DataRefused, match="vqa-rad: no"):
        load_dataset("vqa-rad", folder, split="all")
    test = folder / "data" / "test-00000-of-00001.parquet"
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(test.read_bytes())
    loaded = load_dataset("vqa-rad", folder, split="all")
    assert [item.item_id for item in loaded.items] == ["train-0", "test-0"]


def test_a_bad_table_row_is_listed(parquet: Callable[..., Path]) -> None:
    folder = parquet(
        [
            {"image": cell(10), "question": "where?", "answer": "liver"},
            {"image": cell(10), "question": None, "answer": "liver"},
            {"image": {"bytes": None, "path": "a.jpg"}, "question": "where?", "answer": "liver"},
        ]
    )
    loaded = load_dataset("path-vqa", folder)
    assert len(loaded.items) == 1
    assert [bad.where for bad in loaded.bad_rows] == [
        f"test-00000-of-00001.parquet row {row}" for row in (2, 3)
    ]


def test_a_damaged_table_and_one_without_answers_are_refused(
    parquet: Callable[..., Path],
) -> None:
    folder = parquet([{"image": cell(10), "question": "where?"}])
    with pytest.raises(DataRefused, match="no column 'answer'"):
        load_dataset("path-vqa", folder)
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataRefused, match="no readable table"):
        load_dataset("path-vqa", folder)


def test_an_arrow_copy_saved_to_disk(tmp_path: Path) -> None:
    arrow: Any = pytest.importorskip("pyarrow", reason="arrow files need pyarrow")
    table = arrow.Table.from_pylist([{"image": cell(10), "question": "where?", "answer": "liver"}])
    file = tmp_path / "test" / "data-00000-of-00001.arrow"
    file.parent.mkdir()
    with arrow.OSFile(str(file), "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    loaded = load_dataset("path-vqa", tmp_path)
    assert load_pixels(loaded.items[0]).rgb.shape == (10, 12, 3)


def test_path_vqa_in_plain_files_with_a_cmyk_image(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "test_0001.jpg", "CMYK")
    rows = [
        {"image": "test_0001", "question": "where are liver stem cells?", "answer": "here"},
        {"image": "test_0001.jpg", "question": "is this liver?", "answer": "yes"},
    ]
    write(tmp_path / "test.json", rows)
    loaded = load_dataset("path-vqa", tmp_path)
    assert [item.closed for item in loaded.items] == [False, True]
    assert load_pixels(loaded.items[0]).rgb.shape == (10, 12, 3)


# --- OmniMedVQA


def omni_row(number: int, **changes: object) -> dict[str, object]:
    return {
        "dataset": "ACRIMA",
        "question_id": f"ACRIMA_{number:04}",
        "question_type": "Modality Recognition",
        "question": "What imaging technique was used?",
        "gt_answer": "Fundus imaging",
        "image_path": "Images/ACRIMA/Im1.png",
        "option_A": "PET",
        "option_B": "Fundus imaging",
        "option_C": "CT",
        "option_D": "MRI",
        "modality_type": "Fundus Photography",
    } | changes


def test_omni_med_vqa_with_missing_options_and_its_odd_row(tmp_path: Path) -> None:
    picture(tmp_path / "Images" / "ACRIMA" / "Im1.png")
    two = omni_row(2, gt_answer="PET")
    del two["option_C"], two["option_D"]
    odd = omni_row(3)
    odd["modality"] = odd.pop("modality_type")
    del odd["question_type"]
    rows = [omni_row(1), two, odd, omni_row(4, gt_answer="Ultrasound")]
    write(tmp_path / "QA_information" / "Open-access" / "ACRIMA.json", rows)
    loaded = load_dataset("omni-med-vqa", tmp_path)
    assert [item.item_id for item in loaded.items] == [f"ACRIMA/ACRIMA_000{n}" for n in (1, 2, 3)]
    assert loaded.items[0].options == ("PET", "Fundus imaging", "CT", "MRI")
    assert loaded.items[1].options == ("PET", "Fundus imaging")
    assert loaded.items[0].topic == "modality recognition"
    assert loaded.items[2].topic == "fundus photography"
    assert [bad.why for bad in loaded.bad_rows] == ["gt_answer is none of the options"]


# --- a user's own


def test_jsonl_of_a_users_own(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", "L")
    lines = [
        {"image": "a.png", "question": "Which organ?", "answer": "liver", "answer_type": "open"},
        {"image": "a.png", "question": "Mass?", "answer": "Yes", "group": "patient 7", "id": 12},
    ]
    file = tmp_path / "mine.jsonl"
    text = "\n".join(json.dumps(line) for line in lines)
    file.write_text(text + '\n\n{"image": "a.png"\n[1]\n', encoding="utf-8")
    loaded = load_dataset("jsonl", file)
    assert loaded == load_dataset("jsonl", tmp_path)
    assert [item.closed for item in loaded.items] == [False, True]
    assert [item.image_group for item in loaded.items] == ["a.png", "patient 7"]
    assert loaded.items[1].item_id == "12"
    assert [(bad.where, bad.why) for bad in loaded.bad_rows] == [
        ("mine.jsonl line 4", "not JSON"),
        ("mine.jsonl line 5", "a JSON list, not an object"),
    ]
    file.write_text("\n" + text, encoding="utf-8")
    assert load_dataset("jsonl", file).items == loaded.items, "ids survive other lines' edits"


HEADER = "image,question,answer,answer_type,group,options,id\n"


def test_csv_of_a_users_own_is_read_as_jsonl_is(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", "L")
    file = tmp_path / "mine.csv"
    file.write_text(
        "\ufeff" + HEADER + 'a.png,"Which organ, of these?",liver,open,,liver|spleen,\n'
        "a.png,Mass?,Yes,,patient 7,,12\n\n,Mass?,yes,,,,\na.png,Mass?,yes,MAYBE,,,\na.png,Mass?\n",
        encoding="utf-8",
    )
    loaded = load_dataset(str(file), None)
    assert loaded.name == "mine.csv"
    assert loaded.items == load_dataset("csv", tmp_path).items
    assert [item.closed for item in loaded.items] == [False, True]
    assert [item.image_group for item in loaded.items] == ["a.png", "patient 7"]
    assert loaded.items[0].options == ("liver", "spleen")
    assert loaded.items[1].item_id == "12"
    assert [(bad.where, bad.why) for bad in loaded.bad_rows] == [
        ("mine.csv row 5", "image is empty"),
        ("mine.csv row 6", "answer_type is neither OPEN nor CLOSED"),
        ("mine.csv row 7", "2 cells where the header names 7 columns"),
    ]


@pytest.mark.parametrize("delimiter", ",;\t")
def test_csv_takes_the_delimiter_of_its_header(tmp_path: Path, delimiter: str) -> None:
    picture(tmp_path / "a.png")
    file = tmp_path / "mine.csv"
    rows = [["Answer", "image", "question"], ["3,5 cm", "a.png", "How large?"]]
    quoted = [[f'"{cell}"' for cell in row] for row in rows]
    file.write_text("\r\n".join(delimiter.join(row) for row in quoted), encoding="utf-8")
    assert [item.answer for item in load_dataset(str(file), None).items] == ["3,5 cm"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no column 'image'"),
        ("image,question\n", "no column 'answer'"),
        ("image,question,answer,answer\n", "two columns 'answer'"),
        ('image,question,answer\na.png,"Mass?,yes\n', "no CSV table at line 2"),
        ("image,question,answer\n\udcff", "cannot be read as UTF-8"),
    ],
)
def test_a_csv_file_that_is_no_such_table_is_refused(
    tmp_path: Path, content: str, why: str
) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataRefused, match=why) as refused:
        load_dataset(str(file), None)
    assert "\n" not in str(refused.value)


def test_text_that_is_no_unicode_is_a_bad_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    line = '{"image": "a.png", "question": "Mass?", "answer": "\\ud800"}'
    (tmp_path / "mine.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(DataRefused, match="mine.jsonl line 1: answer holds half a character"):
        load_dataset("jsonl", tmp_path)


# --- phantoms


def test_phantoms_are_the_same_every_time_and_others_for_another_seed() -> None:
    first = load_dataset("phantom", None, limit=20, seed=3)
    assert first == load_dataset("phantom", None, limit=20, seed=3)
    other = load_dataset("phantom", None, limit=20, seed=4)
    images = [load_pixels(drawn.items[0]) for drawn in (first, first, other)]
    assert images[0].sha256 == images[1].sha256 != images[2].sha256
    assert images[0].rgb.shape == (112, 112, 3)


def test_phantom_answers_are_the_truth_of_the_image_that_is_shown() -> None:
    items = load_dataset("phantom", None, limit=60).items
    for item in items:
        truth = item.image.phantom()  # type: ignore[union-attr]
        if item.topic == "modality":
            assert item.answer == truth.modality in MODALITIES
            assert np.array_equal(
                load_pixels(item).rgb,
                truth.image
                if truth.image.ndim == 3
                else np.repeat(truth.image[..., None], 3, axis=-1),
            )
        if item.topic == "count":
            assert item.answer == str(truth.count)


# --- what holds of all


def test_a_limit_is_a_repeatable_part_of_a_larger_one(rad: Callable[..., Path]) -> None:
    folder = rad(*(rad_row(str(n)) for n in range(40)))
    small, large = (load_dataset("vqa-rad", folder, limit=n).items for n in (5, 20))
    assert len(small) == 5
    assert set(small) < set(large)
    assert small == load_dataset("vqa-rad", folder, limit=5).items
    assert small != load_dataset("vqa-rad", folder, limit=5, seed=1).items


@pytest.mark.parametrize("name", list(DATASETS))
def test_a_missing_folder_says_where_the_data_is_and_what_is_expected(
    tmp_path: Path, name: str
) -> None:
    info = DATASETS[name]
    for folder in (None, tmp_path / "nowhere"):
        with pytest.raises(DataRefused) as refused:
            load_dataset(name, folder)
        assert info.published in str(refused.value)
        assert info.layout in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", list(DATASETS))
def test_an_empty_folder_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataRefused) as refused:
        load_dataset(name, tmp_path)
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_duplicate_id_is_refused(rad: Callable[..., Path]) -> None:
    with pytest.raises(DataRefused, match="1 item ids occur more than once, first '5'"):
        load_dataset("vqa-rad", rad(rad_row("5"), rad_row(5)))


def test_missing_images_are_counted_and_refused(rad: Callable[..., Path]) -> None:
    folder = rad(rad_row("1"), rad_row("2", image_name="gone.jpg"))
    with pytest.raises(DataRefused, match=r"1 of 2 images are not there, first .*gone\.jpg"):
        load_dataset("vqa-rad", folder)


def test_a_set_without_a_usable_row_is_refused(rad: Callable[..., Path]) -> None:
    with pytest.raises(DataRefused, match=r"no usable row, 1 bad .*answer is empty"):
        load_dataset("vqa-rad", rad(rad_row("1", answer="")))
    with pytest.raises(DataRefused, match="no usable row, 0 bad"):
        load_dataset("vqa-rad", rad())


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "\udcff"])
def test_a_file_that_holds_no_rows_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "test.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataRefused, match=r"^test\.json"):
        load_dataset("slake", tmp_path, split="test")


def test_unknown_names_splits_and_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="unknown data set 'mnist'.*phantom, vqa-rad"):
        load_dataset("mnist", tmp_path)
    with pytest.raises(DataRefused, match="no split 'dev'; choose from validate, train, test"):
        load_dataset("slake", tmp_path, split="dev")
    with pytest.raises(DataRefused, match="one split 'test'"):
        load_dataset("phantom", None, split="train")
    with pytest.raises(DataRefused, match="limit is 0"):
        load_dataset("phantom", None, limit=0)


# --- the real files


def test_vqa_rad_as_published(data_folder: Path) -> None:
    loaded = load_dataset("vqa-rad", data_folder)
    assert (len(loaded.items), len({i.image for i in loaded.items})) == (451, 203)
    assert sum(item.closed for item in loaded.items) == 272
    assert loaded.bad_rows == ()
    assert len(load_dataset("vqa-rad", data_folder, split="all").items) == 2248


@pytest.mark.parametrize(
    ("split", "usable", "images", "bad"), [("validate", 1053, 96, 0), ("train", 4918, 450, 1)]
)
def test_slake_as_published(
    data_folder: Path, split: str, usable: int, images: int, bad: int
) -> None:
    loaded = load_dataset("slake", data_folder, split=split)
    assert (len(loaded.items), len({i.image_group for i in loaded.items})) == (usable, images)
    assert len(loaded.bad_rows) == bad  # one published English answer is empty


def test_answering_vqa_rad_from_the_question_alone_gives_the_known_prior(
    data_folder: Path,
) -> None:
    train = load_dataset("vqa-rad", data_folder, split="train").items
    test = load_dataset("vqa-rad", data_folder).items
    by_question: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in train:
        by_question[item.question.lower()][item.answer.lower()] += 1
    overall = sum(by_question.values(), Counter[str]())
    guesses = [(by_question.get(item.question.lower()) or overall).most_common(1) for item in test]
    right = [
        score("strict", guess[0][0], item).correct
        for guess, item in zip(guesses, test, strict=True)
    ]
    assert np.mean(right) == pytest.approx(0.317, abs=0.0005)
