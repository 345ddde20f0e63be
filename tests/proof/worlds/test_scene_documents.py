"""Documents over scenes: texts stand where the knobs say, and the truth says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece
from tuwen.proof.worlds.scene_documents import NOWHERE, SceneDocuments, documents_of
from tuwen.proof.worlds.scenes import Scenes

SCENES = Scenes(side=16)
NUMBER = 200


def drawn(**knobs: Any) -> Columns:
    return SceneDocuments(**{"scenes": SCENES, "distractors": 0, **knobs}).train(NUMBER, 1)


def order(document: list[Piece]) -> str:
    """`ti`: a text, then an image."""
    return "".join(piece.kind[0] for piece in document)


def test_a_document_by_hand() -> None:
    red, blue = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    (pieces,), (texts,), (images,), (text_of,) = documents_of(
        [[(red, -1), ("a blue circle", 1), (blue, -1), ("nothing", -1)]]
    ).values()
    assert order(pieces) == "itit"
    assert [piece.learnt for piece in pieces] == [False, True, False, True]
    assert pieces[1].value == "a blue circle\n"
    assert texts == ["a blue circle", "nothing"]
    assert images[0] is red and images[1] is blue
    assert text_of == [NOWHERE, 0]


def test_every_image_has_its_text_beside_it() -> None:
    """Documents show the scenes of the world `scenes`, one after the other."""
    found, scenes = drawn(text_first=1), SCENES.train(4 * NUMBER, 1)
    row = 0
    for number, document in enumerate(found["document"]):
        images = found["document_images"][number]
        assert order(document) == "ti" * len(images)
        assert found["text_of_image"][number] == list(range(len(images)))
        assert np.array_equal(found["image"][number], images[0])
        assert found["text"][number] == scenes["text"][row]
        for image, text in zip(images, found["document_texts"][number], strict=True):
            assert np.array_equal(image, scenes["image"][row])
            assert text == scenes["text"][row]
            row += 1


@pytest.mark.parametrize(("share", "wanted"), [(0, {"it"}), (1, {"ti"}), (0.5, {"it", "ti"})])
def test_text_first(share: float, wanted: set[str]) -> None:
    found = drawn(text_first=share)
    assert {order(each)[place : place + 2] for each in found["document"] for place in range(0, len(each), 2)} == wanted


def test_missing_and_elsewhere() -> None:
    assert {order(each) for each in drawn(missing=1)["document"]} == {"ii", "iii", "iiii"}
    assert all(set(each) == {NOWHERE} for each in drawn(missing=1)["text_of_image"])
    away = drawn(elsewhere=1, images=(3,))
    assert {order(each) for each in away["document"]} == {"iiittt"}
    assert away["text_of_image"] == [[0, 1, 2]] * NUMBER
    half = [each for told in drawn(missing=0.5)["text_of_image"] for each in told]
    assert 0.43 < np.mean([each == NOWHERE for each in half]) < 0.57


def test_texts_of_other_scenes_are_not_about_the_image() -> None:
    found = drawn(scenes=Scenes(side=16, mismatch=0.5))
    for document, told, mismatched in zip(
        found["document"], found["text_of_image"], found["is_mismatched"], strict=True
    ):
        assert order(document).count("t") == len(told)
        assert (told[0] == NOWHERE) == mismatched


def test_distractors_are_true_of_no_image_and_move_nothing() -> None:
    without, found = drawn(elsewhere=0.3), drawn(elsewhere=0.3, distractors=1)
    for few, many, told in zip(without["document"], found["document"], found["text_of_image"], strict=True):
        assert len(many) == len(few) + len(told)
        rest = iter(piece.value for piece in many if isinstance(piece.value, str))
        assert all(piece.value in rest for piece in few if isinstance(piece.value, str))


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    world = SceneDocuments(scenes=SCENES, elsewhere=0.3)
    few, many = world.train(20, 3), world.train(60, 3)
    assert many["document_texts"][:20] == few["document_texts"]
    assert many["text_of_image"][:20] == few["text_of_image"]
    assert np.array_equal(many["image"][:20], few["image"])
    assert world.train(20, 4)["document_texts"] != few["document_texts"]


def test_tests_have_all_texts_and_images_that_training_has_not() -> None:
    world = SceneDocuments(scenes=Scenes(side=16, mismatch=0.5), missing=0.5, distractors=1)
    train, test = world.train(NUMBER, 1), world.test(NUMBER, 1)
    assert all(told == list(range(len(told))) for told in test["text_of_image"])
    assert all(len(order(each)) == 2 * order(each).count("i") for each in test["document"])
    seen = {image.tobytes() for images in train["document_images"] for image in images}
    assert not any(image.tobytes() in seen for images in test["document_images"] for image in images)


def test_no_document_at_all() -> None:
    assert SceneDocuments(scenes=SCENES).train(0, 1).num_rows == 0
