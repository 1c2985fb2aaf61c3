"""A pattern of files and a column of groups become a cell for each dataset, named by what tells them apart."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from bayesrun.data import levels_of, read, rows_of
from bayesrun.errors import BayesrunError, ConfigError, DataError
from bayesrun.planning.config import Composed, data_of
from bayesrun.planning.several_datasets import several
from bayesrun.types import Dataset

TABLE = "site,y\n" + "".join(f"{site},{row}\n" for site in ("s10", "s2", "Bad Homburg", "a/b") for row in range(3))


def composed(**data) -> Composed:
    config = OmegaConf.create({"data": {"_target_": "bayesrun.data.read", **data}})
    return Composed(config, {"data": "csv"}, tuple(f"data.{key}=x" for key in data))


def names(*items: Composed) -> list[str]:
    return [item.data_name for item in several(items).composed]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.csv").write_text(TABLE + ",7\n")
    (tmp_path / "sites").mkdir()
    for name in ("s1", "s2", "s10"):
        (tmp_path / "sites" / f"{name}.csv").write_text(TABLE)
        (tmp_path / "deep" / name / "new").mkdir(parents=True)
        (tmp_path / "deep" / name / "new" / "obs.csv").write_text(TABLE)
    return tmp_path


def test_each_file_that_matches_is_a_dataset(folder):
    found = several([composed(path="sites/*.csv")])
    assert [item.data_name for item in found.composed] == ["s1", "s2", "s10"]
    assert [data_of(item)["path"] for item in found.composed] == ["sites/s1.csv", "sites/s2.csv", "sites/s10.csv"]
    assert found.places == ((0, 1, 2),)
    assert found.apart == {0, 1, 2}
    assert set(found.sources.values()) == {"sites"}


def test_one_match_is_one_dataset_and_none_is_refused(folder):
    found = several([composed(path="sites/s1?.csv")])
    assert [item.data_name for item in found.composed] == ["s10"]
    assert not found.apart
    with pytest.raises(ConfigError, match=r"no file matches 'sites/\*\.parquet'; the folder .*/sites has s1.csv, "):
        several([composed(path="sites/*.parquet")])
    with pytest.raises(ConfigError, match=r"no file matches 'sits/\*\.csv'; there is no folder sits"):
        several([composed(path="sits/*.csv")])


def test_files_of_one_name_are_told_apart_by_their_folders(folder):
    assert names(composed(path="deep/*/new/obs.csv")) == ["s1", "s2", "s10"]
    assert names(composed(path="deep/s1/new/obs.csv"), composed(path="deep/s10/new/obs.csv")) == ["s1", "s10"]
    (folder / "deep" / "s1" / "old").mkdir()
    (folder / "deep" / "s1" / "old" / "obs.csv").write_text(TABLE)
    assert names(composed(path="deep/**/*.csv")) == ["s1-new", "s1-old", "s2-new", "s10-new"]


def test_a_file_whose_name_has_signs_of_a_pattern_is_one_file(folder):
    (folder / "a[1].csv").write_text(TABLE)
    assert several([composed(path="a[1].csv")]).composed[0].data_name == ""


def test_each_level_of_a_column_is_a_dataset(folder):
    found = several([composed(path="all.csv", by="site")])
    assert [item.data_name for item in found.composed] == ["a_b", "Bad_Homburg", "s2", "s10"]
    assert [data_of(item)["level"] for item in found.composed] == ["a/b", "Bad Homburg", "s2", "s10"]
    assert found.composed[0].typed == ("data.path=x", "data.by=x", "data.level=null")
    assert found.notes == ("data=all: 1 row without site is in no dataset",)
    assert set(found.sources.values()) == {"all-by-site"}
    assert names(composed(path="all.csv", by="site", level="s2")) == ["s2"]


def test_long_names_are_cut_where_they_do_not_differ(folder):
    house = "Universitätsklinikum Schleswig-Holstein, Campus"
    levels = [f"{house} Kiel", f"{house} Lübeck", "Kiel", "Klinik Köln"]
    (folder / "all.csv").write_text("site,y\n" + "".join(f'"{level}",{row}\n' for level in levels for row in range(3)))
    found = several([composed(path="all.csv", by="site")])
    assert [data_of(item)["level"] for item in found.composed] == ["Kiel", "Klinik Köln", *levels[:2]]
    assert [item.data_name for item in found.composed] == [
        "Kiel",
        "Klinik_Köln",
        "Universitätskli..ein_Campus_Kiel",
        "Lübeck",
    ]
    for name in ("house_of_the_rising_sun_in_new_orleans", "a"):
        (folder / "sites" / f"{name}.csv").write_text(TABLE)
    assert names(composed(path="sites/[ah]*.csv")) == ["a", "house_of_the_ri.._in_new_orleans"]


def test_levels_of_several_files(folder):
    (folder / "sites" / "s2.csv").write_text("place,y\na,1\na,2\n")
    found = names(composed(path="sites/*.csv", by="site"))
    assert found[:4] == ["s1-a_b", "s1-Bad_Homburg", "s1-s2", "s1-s10"]
    assert found[4] == "s2"  # has no such column, which its own cell says
    assert len(found) == 9


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("sight", r"data.by: the data have no column 'sight'; did you mean data.by=site\?"),
        ("y", r"data.by: y has 7 levels in 13 rows, and each would be a dataset"),
        ("empty", r"data.by: empty is missing in all 13 rows"),
        (["site", "y"], r"data.by: got \['site', 'y'\]; wanted a valid string"),
    ],
)
def test_a_column_that_cannot_part(folder, by, message):
    rows = "".join(f"a,{row // 2},\n" for row in range(13))
    (folder / "all.csv").write_text(f"site,y,empty\n{rows}")
    with pytest.raises(BayesrunError, match=message):
        several([composed(path="all.csv", by=by)])


def test_rows_of_a_level_are_those_of_a_file_of_its_own(folder):
    (folder / "own.csv").write_text("site,y\ns2,0\ns2,1\ns2,2\n")
    part, own = read("all.csv", by="site", level="s2"), read("own.csv")
    assert part.digest() == own.digest()
    assert part.coords["site"] == ("s2",)
    with pytest.raises(
        DataError, match=r"site has no level 'bad homburgh'; did you mean 'data.level=Bad Homburg'\? There are"
    ):
        read("all.csv", by="site", level="bad homburgh")
    with pytest.raises(
        DataError, match=r"data.by=site parts the rows, and data.level says which are wanted: Bad Homburg, a/b"
    ):
        read("all.csv", by="site")


def test_a_number_that_two_labels_are_is_no_level(folder):
    (folder / "codes.csv").write_text("site,y\n01,0\n01,1\n1,2\n1,3\n1,4\n2.5,5\n")
    for level in (1, 1.0):
        with pytest.raises(DataError, match=r"data.level: .* is a number, and site has 01, 1, which are this number"):
            read("codes.csv", by="site", level=level)
    sizes = [len(read("codes.csv", by="site", level=level)["y"]) for level in ("01", "1", 2.5, "2.5")]
    assert sizes == [2, 3, 1, 1]


def test_a_dim_with_labels_parts_a_matrix():
    table = Dataset(
        {"y": np.arange(6.0).reshape(2, 3), "x": np.arange(3.0), "altitude": np.array([5.0, 6.0])},
        {"y": ("site", "time"), "x": ("time",), "altitude": ("site",)},
        {"site": ("a", "b"), "time": (1, 2, 3)},
    )
    assert levels_of(table, "site") == (("a", "b"), 0)
    part = rows_of(table, "site", "b")
    assert part["y"].tolist() == [3.0, 4.0, 5.0]
    assert part.dims == {"y": ("time",), "x": ("time",), "altitude": ()}
    assert part["altitude"] == 6.0
    assert part.coords == {"time": (1, 2, 3)}


def test_numbers_and_categories_are_levels_too(tmp_path):
    (tmp_path / "t.csv").write_text("year,y\n2019,1\n2019,2\n2020,3\n2020,4\n")
    assert read(str(tmp_path / "t.csv"), by="year", level="2020")["y"].tolist() == [3, 4]
    assert read(str(tmp_path / "t.csv"), by="year", level=2020)["y"].tolist() == [3, 4]
