"""minigrad.viz: what the figures show, and what the drawn graph says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, viz

matplotlib = pytest.importorskip("matplotlib", reason="the figures are drawn with matplotlib")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return (x + self.conv(x)).relu()


def network() -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), Block(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))


def drawn() -> viz.Graph:
    return viz.draw_graph(network(), mg.rand(1, 1, 6, 6))


# ----------------------------------------------------------------------------------- the graph


def test_graph_of_a_tensor_has_each_operation_and_leaf_once() -> None:
    a = mg.tensor([1.0, 2.0], requires_grad=True)
    b = mg.tensor([3.0, 4.0], requires_grad=True)
    product = a * b
    graph = viz.draw_graph((product + product).sum(), params={"a": a, "b": b})
    names = [v.name for v in graph.vertices]
    assert sorted(names) == ["a", "add", "b", "mul", "sum"]
    edges = sorted((names[i], names[j]) for i, j in graph.edges)
    assert edges == [("a", "mul"), ("add", "sum"), ("b", "mul"), ("mul", "add"), ("mul", "add")]
    by_name = {v.name: v for v in graph.vertices}
    assert by_name["sum"].kind == "output"
    assert by_name["a"].kind == "parameter"
    assert by_name["a"].value == "1.5 ± 0.5 in [1, 2]"
    assert by_name["a"].gradient == "7 ± 1 in [6, 8]"  # 2 * b
    assert by_name["mul"].gradient == "2 ± 0 in [2, 2]"
    assert "test_viz.py" in by_name["mul"].line
    assert "product = a * b" in by_name["mul"].line


def test_values_that_are_saved_for_backward_are_shown() -> None:
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    graph = viz.draw_graph((x.exp() * 2).sin().sum())
    values = {v.name: v.value for v in graph.vertices}
    assert values["exp"].endswith(" in [1, 2.72]")
    assert values["mul"].endswith(" in [2, 5.44]")  # sin saved it
    assert values["sin"] == ""  # sum saves nothing but the shape


def test_drawing_changes_no_gradient_and_runs_no_hook() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.retain_grad()
    calls = []
    y.register_hook(lambda g: calls.append("y"))
    x.register_hook(lambda g: calls.append("x"))
    loss = y.sum()
    viz.draw_graph(loss)
    assert x.grad is None
    assert calls == []
    loss.backward()
    assert calls == ["y", "x"]
    assert y.grad.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 4.0]


def test_after_backward_there_are_no_gradients_to_show() -> None:
    x = mg.tensor([1.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    assert not any(v.gradient for v in viz.draw_graph(y).vertices)


def test_graph_of_a_module_knows_modules_names_and_all_values() -> None:
    graph = drawn()
    by_name = {v.name: v for v in graph.vertices}
    assert by_name["1.conv.weight"].module == ["1: Block", "1.conv: Conv2d"]
    assert by_name["add"].module == ["1: Block"]
    assert by_name["linear"].kind == "output"
    assert by_name["input"].shape == "(1, 1, 6, 6)"
    assert all(v.value and v.gradient for v in graph.vertices)
    assert " in [0, " in by_name["relu"].value


def test_not_finite_elements_are_counted() -> None:
    graph = viz.draw_graph(mg.tensor([1.0, 0.0, -1.0], requires_grad=True).log().sum(), gradients=False)
    value = viz.draw_graph(lambda x: x.log(), mg.tensor([1.0, 0.0, -1.0])).vertices[-1].value
    assert value == "0 ± 0 in [0, 0], 2 not finite"
    assert not any(v.gradient for v in graph.vertices)


def test_several_outputs_and_deep_graphs() -> None:
    x = mg.arange(6.0).requires_grad_()
    first, second = x.reshape(2, 3).unbind(0)
    names = [v.name for v in viz.draw_graph((first * second).sum()).vertices]
    assert "pick" not in names
    y = x
    for _ in range(3000):
        y = y + 1
    assert len(viz.draw_graph(y, gradients=False).vertices) == 3001


def test_source_is_balanced_and_escaped() -> None:
    source = drawn().source
    assert source.count("{") == source.count("}")
    assert 'subgraph "cluster_1: Block/1.conv: Conv2d" { label="conv: Conv2d"' in source
    assert len(re.findall(r" -> ", source)) == len(drawn().edges)
    model = nn.Sequential()
    model.add_module('a "b"', nn.Linear(2, 1))
    assert r'subgraph "cluster_a \"b\": Linear" { label="a \"b\": Linear"' in viz.draw_graph(model, mg.ones(2)).source


def test_saving_by_ending(tmp_path: Path) -> None:
    graph = drawn()
    assert graph.save(tmp_path / "g.dot").read_text() == graph.source
    page = graph.save(tmp_path / "g.html").read_text()
    data = re.search(r'<script id="data" type="application/json">(.*)</script>', page)
    assert len(json.loads(data.group(1))["vertices"]) == len(graph.vertices)
    assert "http" not in re.sub(r"http://www.w3.org/2000/svg", "", page)  # it loads nothing
    with pytest.raises(ValueError, match="no ending"):
        graph.save(tmp_path / "g")


@pytest.mark.skipif(not shutil.which("dot"), reason="needs Graphviz's program dot")
def test_graphviz_draws_it(tmp_path: Path) -> None:
    assert b"<svg" in drawn().save(tmp_path / "g.svg").read_bytes()
    assert drawn().render("png").startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="format 'nonsense'"):
        drawn().render("nonsense")


def test_without_graphviz_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"dot is not installed.*save\('graph.html'\)"):
        drawn().render()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="requires no gradient"):
        viz.draw_graph(mg.ones(2))
    with pytest.raises(TypeError, match="expected a Tensor, or a function that returns one, got list"):
        viz.draw_graph([1])
    with pytest.raises(TypeError, match="got tuple"):
        viz.draw_graph(lambda x: (x, x), mg.ones(2))


SCRIPT = """
<script>
const boxes = () => document.querySelectorAll(".vertex").length;
const centre = () => document.getElementById("scene").getAttribute("transform");
const seen = { all: boxes(), before: centre() };
svg.dispatchEvent(new MouseEvent("mousedown", { clientX: 300, clientY: 300, bubbles: true }));
svg.dispatchEvent(new MouseEvent("mousemove", { clientX: 340, clientY: 310, bubbles: true }));
svg.dispatchEvent(new MouseEvent("mouseup", { bubbles: true }));
seen.moved = centre() !== seen.before; seen.before = centre();
svg.dispatchEvent(new WheelEvent("wheel", { deltaY: -200, clientX: 300, clientY: 300, cancelable: true }));
seen.zoomed = centre() !== seen.before;
document.querySelector(".group text").dispatchEvent(new MouseEvent("click", { bubbles: true }));
seen.one = boxes();
document.getElementById("fold").click(); seen.folded = boxes();
document.querySelector(".vertex.folded").dispatchEvent(new MouseEvent("mousemove", { clientX: 5, clientY: 5 }));
seen.tip = document.getElementById("tip").textContent;
document.getElementById("unfold").click(); seen.unfolded = boxes();
document.querySelector(".vertex.output").dispatchEvent(new MouseEvent("mousemove", { clientX: 5, clientY: 5 }));
seen.hover = document.getElementById("tip").textContent;
document.title = JSON.stringify(seen);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to run the page")
def test_the_page_moves_zooms_folds_and_tells(tmp_path: Path) -> None:
    graph = drawn()
    page = tmp_path / "g.html"
    page.write_text(graph.html.replace("</body>", SCRIPT + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    seen = json.loads(re.search("<title>(.*)</title>", done.stdout).group(1))
    assert seen["all"] == seen["unfolded"] == len(graph.vertices)
    assert seen["moved"]
    assert seen["zoomed"]
    assert seen["one"] < seen["all"]
    assert seen["folded"] == 6  # the input and five layers
    assert seen["tip"].splitlines() == ["4: Linear", "  4.weight (3, 8)", "  4.bias (3,)", "  linear (1, 3)"]
    assert seen["hover"].startswith("linear  (1, 3) float32\nvalue: ")


# --------------------------------------------------------------------------------- the figures


def test_images_of_all_kinds() -> None:
    figure = viz.show_images(mg.rand(5, 1, 4, 4), titles=np.arange(5), columns=3, title="five")
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown] == list("01234")
    assert figure.get_suptitle() == "five"
    colours = viz.show_images(2 * mg.rand(2, 3, 4, 4)).axes[0].images[0].get_array()
    assert colours.shape == (4, 4, 3)
    assert colours.max() <= 1
    assert len(viz.show_images([np.zeros((3, 3)), np.zeros((5, 2), np.uint8)]).axes) == 2


def test_kernels_share_one_scale_around_zero() -> None:
    weight = mg.tensor([[[[1.0, -4.0]]], [[[2.0, 3.0]]]])
    axes = [axis for axis in viz.show_kernels(weight).axes if axis.images]
    assert [axis.images[0].get_clim() for axis in axes] == [(-4, 4), (-4, 4)]
    grid = viz.show_kernels(nn.Conv2d(3, 2, 3).weight)
    assert len([axis for axis in grid.axes if axis.images]) == 6


def test_feature_maps() -> None:
    maps = mg.rand(1, 6, 4, 4, requires_grad=True)
    assert len([axis for axis in viz.show_feature_maps(maps).axes if axis.images]) == 6


def test_history_gives_a_plot_per_quantity() -> None:
    history = {"training loss": [2.0, 1.0], "test loss": [2.5, 1.5], "test accuracy": [0.5, 0.6]}
    loss, accuracy = viz.plot_history(history).axes
    assert [line.get_label() for line in loss.lines] == ["training", "test"]
    assert loss.get_yscale() == "log"
    assert list(accuracy.lines[0].get_ydata()) == [0.5, 0.6]


def test_confusion_matrix_counts() -> None:
    figure = viz.confusion_matrix(mg.tensor([0, 1, 1, 2]), mg.tensor([0, 1, 2, 2]), classes=["cat", "dog", "horse"])
    texts = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert texts == {(0, 0): "1", (1, 1): "1", (2, 1): "1", (2, 2): "1"}
    assert figure.axes[0].get_title() == "3 of 4 right"


def test_figures_can_be_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    viz.save_figures(tmp_path / "new" / "folder", a=viz.show_images(mg.zeros(1, 2, 2)), b=viz.plot_history({"x": [1]}))
    assert capsys.readouterr().out == f"Pictures: a.png, b.png in {tmp_path / 'new' / 'folder'}\n"
    for name in "ab":
        assert (tmp_path / "new" / "folder" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("call", "message"), [
    (lambda: viz.show_images([]), "show_images: got no images"),
    (lambda: viz.show_images(mg.zeros(1, 2, 4, 4)), r"image 0 has shape \(2, 4, 4\); expected \(H, W\)"),
    (lambda: viz.show_images(mg.zeros(2, 4, 4), titles=["one"]), "got 2 images but 1 titles"),
    (lambda: viz.show_kernels(mg.zeros(3, 3)), r"weight must have shape \(out, in, kh, kw\), got \(3, 3\)"),
    (lambda: viz.show_feature_maps(mg.zeros(2, 3, 4, 4)), r"maps must have shape \(C, H, W\)"),
    (lambda: viz.plot_history({}), "history is empty"),
    (lambda: viz.confusion_matrix(mg.zeros(2), mg.zeros(3)), r"labels \(2,\) and predictions \(3,\)"),
    (lambda: viz.confusion_matrix(mg.tensor([4]), mg.tensor([1]), classes=3), "class 4 occurs but there are only 3"),
])  # fmt: skip
def test_bad_input(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minigrad-nn\[viz\]'"):
        viz.show_feature_maps(mg.zeros(1, 2, 2))
