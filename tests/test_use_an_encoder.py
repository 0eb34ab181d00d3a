"""docs/use_an_encoder.md works as written, and what it warns of happens; at scale tiny."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.device import VARIABLE
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.fine_tuned.model import load_model
from benchmark.downstream.finetune import run_cell
from benchmark.encoders.encoder import export_encoder
from benchmark.method_cards import CONFIGS
from benchmark.nn.vit import VisionTransformer
from benchmark.openmmlab.quiet import quiet_libraries

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "use_an_encoder.md").read_text(encoding="utf-8")
SIDE, PATCH, DIM, DEPTH, HEADS = 96, 16, 48, 4, 3
# What the numbers of a ViT-B are of the encoder here.
TINY = {
    "768, (2, 5, 8, 11)": f"{DIM}, (0, 1, 2, 3)",
    "out_indices=(2, 5, 8, 11)": "out_indices=(0, 1, 2, 3)",
    "img_size=224": f"img_size={SIDE}",
    "embed_dims=768": f"embed_dims={DIM}",
    "num_layers=12": f"num_layers={DEPTH}",
    "num_heads=12": f"num_heads={HEADS}",
}


def blocks(section: str, language: str = "python") -> list[str]:
    """The blocks of a section, with the sizes of the encoder here."""
    part = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)
    for large, small in TINY.items():
        found = [block.replace(large, small) for block in found]
    return found


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and a segmentor made of it, as a lab has them."""
    root = tmp_path_factory.mktemp("lab")
    torch.manual_seed(0)
    encoder = VisionTransformer(SIDE, PATCH, DIM, DEPTH, HEADS)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    folder = root / "work_dirs" / "mae"
    export_encoder(folder / "pretrain", encoder, {"title": "MAE"})
    source = open_source("synthetic", patients=3, videos=1, frames=4, first_frame=3, size=120)
    task = write_task_folder(source, root / "task", "segmentation", "arcade_v", progress=False)
    options = [f"data.folder={task.path}", "batch_size=2", "base_lr=0.03", "num_workers=0"]
    config, card = compose(CONFIGS, "mae", "arcade_v", "tiny", options, root / "work_dirs")
    config.epochs = 8  # for masks that are neither empty nor full
    cell = folder / "finetune" / "arcade_v" / "seed0"
    run_cell(BenchmarkCell(config, card, "arcade_v", 0, cell, root / "results"))
    item = task.splits["test"][0]
    frame = cv2.imread(str(task.image("test", item["stem"])), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(root / "frame.png"), frame)
    return root


@pytest.fixture
def lab(work: Path, run_tool: Callable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to be in, with what the first command of the page writes."""
    monkeypatch.chdir(work)
    monkeypatch.setenv(VARIABLE, "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if not Path("exports/mae").exists():
        (command,) = re.findall(r"```bash\n(tools/export_encoder.*?)\n```", PAGE)
        name, *arguments = shlex.split(command)
        assert run_tool(Path(name).stem, *arguments)[0] == 0
    return work


@pytest.fixture(scope="module")
def encoder(work: Path) -> VisionTransformer:
    from benchmark.encoders.encoder import load_encoder

    return load_encoder(work / "work_dirs/mae/pretrain")[0].eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def as_maps(tokens: Tensor) -> Tensor:
    """Patch tokens with a CLS token before them as a map."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))


@torch.no_grad()
def maps_of_blocks(encoder: VisionTransformer, images: Tensor) -> list[Tensor]:
    return [as_maps(tokens) for tokens in encoder.layers(encoder.embed(images))]


def gap(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@torch.no_grad()
def test_timm_gives_our_features(lab, encoder, images):
    names: dict[str, Any] = {"images": images}
    for block in blocks("timm"):
        exec(block, names)
    assert gap(names["tokens"], encoder(images)) < 1e-5
    found, wanted = names["maps"], maps_of_blocks(encoder, images)
    assert len(found) == DEPTH
    assert all(gap(one, other) < 1e-5 for one, other in zip(found, wanted, strict=True))
    normed = encoder.norm(found[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert gap(normed, encoder.feature_maps(images)[0]) < 1e-5
    assert gap(found[-1], encoder.feature_maps(images)[0]) > 0.1


def build(text: str, scope: str) -> nn.Module:
    """A network of a config of the page, by the library alone."""
    path = Path(f"{scope}.py")
    path.write_text(text)
    with quiet_libraries(), DefaultScope.overwrite_default_scope(scope):
        config = Config.fromfile(path)
        if scope == "mmseg":
            from mmseg.registry import MODELS
        else:
            from mmdet.registry import MODELS
        model = MODELS.build(config.model)
        model.init_weights()
    model.eval()
    return model


@torch.no_grad()
def test_a_plain_config_of_mmsegmentation(lab, encoder, images):
    text, _ = blocks("mmsegmentation")
    assert "benchmark" not in text
    model = build(text, "mmseg")
    for one, other in zip(model.backbone(images), maps_of_blocks(encoder, images), strict=True):
        assert gap(one, other) < 1e-5
    frames = [torch.randint(0, 256, (1, SIDE, SIDE), dtype=torch.uint8).expand(3, -1, -1)] * 2
    inputs = model.data_preprocessor({"inputs": frames})["inputs"]
    expected = (torch.stack(frames) / 255 - torch.tensor(IMAGENET[0])) / torch.tensor(IMAGENET[1])
    torch.testing.assert_close(inputs, expected, rtol=0, atol=1e-5)
    (sample, _) = model(inputs, mode="predict")
    assert sample.pred_sem_seg.data.shape == (1, SIDE, SIDE)


IMAGENET = tuple(
    np.float32(values).reshape(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)


def as_mmseg(name: str) -> str:
    """What mmsegmentation's `VisionTransformer` calls a weight of timm's."""
    for ours, theirs in (
        ("patch_embed.proj.", "patch_embed.projection."),
        ("attn.qkv.", "attn.attn.in_proj_"),
        ("attn.proj.", "attn.attn.out_proj."),
        ("mlp.fc1.", "ffn.layers.0.0."),
        ("mlp.fc2.", "ffn.layers.1."),
        ("blocks.", "layers."),
        ("norm", "ln"),
    ):
        name = name.replace(ours, theirs)
    return re.sub(r"^ln\.", "ln1.", name)


def vision_transformer(
    capsys: pytest.CaptureFixture, **settings: Any
) -> tuple[nn.Module, list, str]:
    """mmsegmentation's, with the weights that changed when it was loaded, and what it said."""
    with quiet_libraries():
        import mmseg.models  # noqa: F401
        from mmseg.registry import MODELS
    names: dict[str, Any] = {}
    exec(blocks("mmsegmentation")[1], names)
    model = MODELS.build({**names["wrong"], **settings})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    capsys.readouterr()
    model.init_weights()
    after = model.state_dict()
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    model.eval()  # which returns nothing here
    return model, changed, "".join(capsys.readouterr())


@torch.no_grad()
def test_mmsegmentations_own_vit_is_not_loaded_and_does_not_fail(lab, encoder, images, capsys):
    tensors = load_file("exports/mae/model.safetensors")
    torch.save(tensors, "mae.pth")
    model, changed, said = vision_transformer(capsys)
    assert changed == ["cls_token", "pos_embed"]
    assert len(tensors) > 50
    assert "The model and loaded state dict do not match exactly" in said
    assert gap(model(images)[0], encoder.feature_maps(images)[0]) > 0.3

    # With the names it wants, the defaults are still others; and with these it is the encoder.
    torch.save({as_mmseg(name): value for name, value in tensors.items()}, "renamed.pth")
    renamed = {"init_cfg": dict(type="Pretrained", checkpoint="renamed.pth")}
    model, _, said = vision_transformer(capsys, **renamed)
    assert "unexpected key in source state_dict: " in said
    assert "patch_embed.projection.bias" in said
    assert gap(model(images)[0], encoder.feature_maps(images)[0]) > 0.1
    settings = re.search(r"`(patch_bias=True.*?\))`", PAGE)[1]
    model, _, said = vision_transformer(capsys, **renamed, **eval(f"dict({settings})"))
    assert "do not match" not in said
    assert gap(model(images)[0], encoder.feature_maps(images)[0]) < 1e-5
    # At another size it does as ours, and timm does not.
    large = torch.randn(1, 3, 128, 128)
    assert gap(model(large)[0], encoder.feature_maps(large)[0]) < 1e-5
    import timm

    other = timm.create_model("local-dir:exports/mae", pretrained=True).eval()
    assert gap(other.forward_features(large), encoder(large)) > 1e-4


def test_mmengine_does_not_read_safetensors(lab, capsys):
    file = dict(type="Pretrained", checkpoint="exports/mae/model.safetensors")
    with pytest.raises(Exception, match="invalid load key"):
        vision_transformer(capsys, init_cfg=file)


@torch.no_grad()
def test_a_plain_config_of_mmdetection(lab, encoder, images):
    (text,) = blocks("mmdetection")
    assert "benchmark" not in text
    model = build(text, "mmdet")
    for one, other in zip(model.backbone(images), maps_of_blocks(encoder, images), strict=True):
        assert gap(one, other) < 1e-5
    strides = [SIDE / level.shape[-1] for level in model.extract_feat(images)]
    assert strides[:4] == [4, 8, 16, 32]
    from mmdet.structures import DetDataSample

    shape = (SIDE, SIDE)
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
    frame = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    (found,) = model.test_step({"inputs": [frame], "data_samples": [sample]})
    assert found.pred_instances.bboxes.shape[1] == 4


def test_the_folder_is_what_a_hub_wants(lab):
    import huggingface_hub

    (block,) = blocks("Hugging Face")
    hub = mock.create_autospec(huggingface_hub.HfApi)
    with mock.patch.object(huggingface_hub, "HfApi", hub):
        exec(block, {})
    (call,) = hub.return_value.upload_folder.call_args_list
    assert call.kwargs == {"repo_id": "USER/NAME", "folder_path": "exports/mae"}
    names = sorted(path.name for path in Path(call.kwargs["folder_path"]).iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.slow
@torch.no_grad()
def test_onnx_files_of_encoder_and_segmentor(lab, run_tool, encoder):
    (commands,) = blocks("ONNX", "bash")
    for line in commands.splitlines():
        name, *arguments = shlex.split(line)
        code, printed, errors = run_tool(Path(name).stem, *arguments)
        assert (code, errors) == (0, "")
        assert "differs by" in printed
    names: dict[str, Any] = {}
    (block,) = blocks("ONNX")
    exec(block, names)
    model = load_model("work_dirs/mae/finetune/arcade_v/seed0")
    (wanted,) = model.predict([names["frame"]])
    assert names["mask"].shape == names["frame"].shape == (120, 120)
    assert 0 < wanted.masks[0].mean() < 1
    assert (names["mask"] != wanted.masks[0]).mean() < 1e-3

    session = onnxruntime.InferenceSession("mae.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (3, 1, SIDE, SIDE), np.uint8)
    images = torch.from_numpy(
        (np.repeat(frames, 3, 1) / np.float32(255) - IMAGENET[0]) / IMAGENET[1]
    )
    tokens = encoder(images)
    for name, expected in {"features_16": as_maps(tokens), "prefix_tokens": tokens[:, :1]}.items():
        (found,) = session.run([name], {"frames": frames})
        assert gap(torch.from_numpy(found), expected) < 1e-4
        assert f"`{name}`" in PAGE
