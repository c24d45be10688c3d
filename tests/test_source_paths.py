import pytest
from pictures import clinic, listing, noise, save

from medsynth.data import sources
from medsynth.data.sources.listing import Asked
from medsynth.errors import BadData


def read(path, **asked):
    return sources.read(path, Asked(**asked))


def test_paths_are_relative_to_the_folder_of_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    found = read(clinic(tmp_path))
    assert found.entries[0].picture == tmp_path.resolve() / "images/000.png"


def test_windows_separators_are_understood(tmp_path):
    (entry,) = listing(tmp_path, {"image": r"images\a.png", "level": 0}).entries
    assert entry.picture == tmp_path.resolve() / "images/a.png"


def test_a_path_within_the_folder_may_be_absolute_or_go_up_and_down(tmp_path):
    rows = [{"image": str(tmp_path / "a.png"), "level": 0}, {"image": "images/../b.png", "level": 1}]
    assert [e.picture.name for e in listing(tmp_path, *rows).entries] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "path", ["../secret.png", "images/../../secret.png", "/etc/hostname", r"..\secret.png", "link.png", "link/x.png"]
)
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_path_that_leaves_the_folder_is_refused_with_its_line(tmp_path, path, column):
    data = tmp_path / "data"
    data.mkdir()
    save(tmp_path / "secret.png", noise(0))
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    (data / "link").symlink_to(tmp_path)
    rows = [{"image": "a.png", "mask": "", "level": 0}, {"image": "b.png", "mask": "", "level": 1} | {column: path}]
    with pytest.raises(BadData, match=r"labels.csv line 3: .* leaves the folder of the source") as failure:
        listing(data, *rows)
    assert "copy the file into" in failure.value.hint


@pytest.mark.parametrize(
    ("path", "problem"),
    [("a\0.png", "NUL character"), ("images/con.png", "device"), ("NUL", "device"), ("com1.", "device")],
)
def test_a_path_that_no_file_can_have_is_refused_with_its_line(tmp_path, path, problem):
    with pytest.raises(BadData, match=f"labels.csv line 2: .*{problem}"):
        listing(tmp_path, {"image": path, "level": 0})


def test_a_link_that_leads_in_circles_is_refused(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    try:
        assert listing(tmp_path, {"image": "a.png", "level": 0}).entries  # newer Pythons leave it to the decoder
    except BadData as error:
        assert "labels.csv line 2" in str(error)  # noqa: PT017


@pytest.mark.parametrize("again", ["a.png", "./a.png", "x/../a.png", "link.png"])
def test_an_image_that_was_there_before_is_refused_with_both_lines(tmp_path, again):
    (tmp_path / "link.png").symlink_to("a.png")
    rows = [{"image": "a.png", "level": 0}, {"image": "b.png", "level": 0}, {"image": again, "level": 1}]
    with pytest.raises(BadData, match=r"labels.csv line 4: .* is there already, on line 2"):
        listing(tmp_path, *rows)


def test_a_row_without_a_path_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"labels.csv line 3: column image is empty"):
        listing(tmp_path, {"level": 0}, {"image": "", "level": 1})


def test_names_of_files_keep_their_letters(tmp_path):
    decomposed = "Jose\u0301.png"
    assert listing(tmp_path, {"image": decomposed, "level": 0}).entries[0].picture.name == decomposed


def test_files_of_one_name_in_two_folders_are_two_samples(tmp_path):
    found = listing(tmp_path, {"image": "left/1.png", "level": 0}, {"image": "right/1.png", "level": 1})
    assert [e.sample for e in found.entries] == ["1", "1-2"]
