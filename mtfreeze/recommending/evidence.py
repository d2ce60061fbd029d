# SPDX-License-Identifier: Apache-2.0
"""What is known about freezing, as rows that advice and ``docs/evidence.md`` both take from here.

`as_markdown` gives the page; a test compares it with the one in docs.
Basis: "abstract" is the abstract or the publisher's page; "second-hand" are figures from a text
copy of, or notes on, the paper: check them there before you quote them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..closest import unknown
from ..errors import ConfigError

__all__ = ["EVIDENCE", "Evidence", "as_markdown", "evidence"]


@dataclass(frozen=True)
class Evidence:
    """One finding.

    Attributes
    ----------
    id : str
        ``"E1"`` and so on.
    source, link : str
    claim : str
        With its figures.
    basis : str
        Where the figures were read.
    kinds : tuple of str
        What it was shown for: "masked" (language models such as BERT), "sentence" (encoders),
        "recurrent", "generative", "vision".
    """

    id: str
    source: str
    link: str
    claim: str
    basis: str
    kinds: tuple[str, ...]

    def shown_for(self, kind: str) -> bool:
        """Say whether the source used that kind of backbone."""
        return kind in self.kinds


EVIDENCE = (
    Evidence(
        "E1",
        "Lee, Tang, Lin 2019, Elsa",
        "https://arxiv.org/abs/1911.03090",
        "A fourth of the final layers reaches 90 % of full quality; fine-tuning all layers "
        "does not always help. Output layer only: about 64 % of full quality; 3-5 of 12 "
        "layers (base), 6 (BERT) or 7 (RoBERTa) of 24 (large) are needed; the first half can "
        "be frozen.",
        "abstract; the second sentence second-hand",
        ("masked",),
    ),
    Evidence(
        "E2",
        "Liu et al. 2021, AutoFreeze",
        "https://arxiv.org/abs/2102.01386",
        "Up to 2.55x on one GPU with caching, accuracy change below 0.1 %; Yelp 52.5 h, with "
        "freezing 27 h, with a cache too 24.6 h; 4.38x time and 5.03x cost on 64 GPUs. Static "
        "last three blocks on MRPC: epoch 2x faster but 87 % -> 76.5 %. Layers 0-4 converge "
        "within one epoch; test on the change of the gradient's norm, the bottom N-th "
        "percentile (median) frozen in order from below.",
        "abstract and second-hand",
        ("masked",),
    ),
    Evidence(
        "E3",
        "Howard, Ruder 2018, ULMFiT, table 7",
        "https://arxiv.org/abs/1801.06146",
        "Validation error % (IMDb / TREC-6 / AG): from scratch 9.93/13.36/6.81; full "
        "6.87/6.86/5.81; full + discriminative rates 5.57/6.21/5.62; last layer only "
        "6.49/16.09/8.38; chain-thaw 5.39/6.71/5.90; gradual 6.37/6.86/5.81; gradual + "
        "discriminative 5.39/5.86/6.04; gradual + slanted rates 5.04/6.02/5.35; gradual + "
        "cosine 5.70/6.38/5.29; all three 5.00/5.69/5.38. Each layer's rate is that of the "
        "one above / 2.6. Gradual unfreezing alone is as good as full; the gain is in the "
        "combination.",
        "a text copy of the table; another copy prints 4.57 for full + discriminative on IMDb",
        ("recurrent",),
    ),
    Evidence(
        "E4",
        "Peters, Ruder, Smith 2019",
        "https://arxiv.org/abs/1903.05987",
        "Whether frozen or tuned is better depends on how similar the task is to "
        "pre-training. BERT: tuning wins by 2.3 to 6.7 points on sentence pairs, by about 0.5 "
        "on named entities and sentiment; ELMo frozen is equal or better. What single "
        "sentences need sits in the last layers, what pairs need builds up over depth.",
        "abstract and second-hand",
        (
            "masked",
            "recurrent",
        ),
    ),
    Evidence(
        "E5",
        "Kumar et al. 2022, LP-FT",
        "https://arxiv.org/abs/2202.10054",
        "Ten sets with a shift: tuning is 2 % better than a linear probe in-distribution and "
        "7 % worse out of it; probe-then-tune is 1 % better than tuning in-distribution and "
        "10 % better out of it. A later table for CLIP ViT-B/16: full tuning ImageNet 81.3, "
        "mean out-of-distribution 53.7; LP-FT 81.7 and 58.7.",
        "abstract; the last sentence second-hand",
        ("vision",),
    ),
    Evidence(
        "E6",
        "raphaelb.net, Freezing BERT (blog), 2020",
        "https://raphaelb.net/posts/freezing-bert",
        "RoBERTa-base, 5 seeds, rate 5e-5, 10 epochs, accuracy with 0/4/8/10/12 of 12 layers "
        "frozen. SST-2 n=50 .705/.711/.529/.523/.514; n=200 .875/.884/.887/.827/.516; n=1000 "
        ".905/.913/.910/.891/.509. CoLA n=200 .764/.774/.782/.721/.691; n=500 "
        ".761+-.040/.791/.792+-.005/.784/.691; n=1000 "
        ".781+-.019/.795/.795+-.005/.797+-.003/.691. Freezing 4-8 of 12 is never worse from "
        "n=200 on and cuts the spread over seeds up to 8x; 12 frozen is chance (far too low a "
        "rate for the head).",
        "table in the author's repository",
        ("masked",),
    ),
    Evidence(
        "E7",
        "SetFit repository, final_results",
        "https://github.com/huggingface/setfit",
        "Mean of 10 splits, 8 examples a class, then 64. Frozen mpnet sentence encoder + "
        "logistic regression: CR 84.2/88.2, AG 74.3/84.4, emotion 37.8/50.8, SST-5 36.7/42.2, "
        "Enron 90.4/95.4, counterfactual (MCC) 22.1/40.7. Encoder tuned contrastively: "
        "88.5/90.4, 82.9/88.0, 48.8/76.2, 43.6/51.9, 90.1/96.1, 40.3/61.9. DistilBERT, all "
        "tuned: 55.1/77.5, 76.1/86.8, 26.3/70.9, 31.9/41.4, not given, 21.1/61.7. "
        "RoBERTa-large, all tuned: 58.8/88.9, 81.7/88.4, 28.7/65.0, 33.5/45.9, 85.0/95.9, "
        "9.2/52.8. all-MiniLM-L6-v2 tuned, 8 a class: CR 71.6, AG 83.1, emotion 39.1, SST-5 "
        "29.8. The frozen encoder beats RoBERTa-large, all tuned, on 5 of 6 sets at 8 a class "
        "and on none of 6 at 64.",
        "calculated from result files that the authors publish",
        (
            "sentence",
            "masked",
        ),
    ),
    Evidence(
        "E8",
        "Saad-Falcon et al. 2023, Embedding Recycling",
        "https://arxiv.org/abs/2207.04993",
        "Keep the middle layer's output and tune the rest: about 100 % faster training (a "
        "later version: above 90 % for DeBERTa-v2-XL), 55-86 % faster inference (87-91 % XL); "
        "accuracy -0.19 to -0.23 on average for SciBERT, BERT-base and RoBERTa-large; "
        "question answering suffers at half depth, so a quarter is recycled there; the gain "
        "grows with the model and on weaker machines.",
        "abstract; the last part second-hand",
        ("masked",),
    ),
    Evidence(
        "E9",
        "Wei, Qi, He 2022",
        "https://arxiv.org/abs/2107.05377",
        "A shared frozen bottom and a top of each task's own, then distilled: 99.6 % of full "
        "tuning on GLUE (82.5 against 82.8) with up to two thirds of the overhead removed; "
        "4-5 top layers reach about 99 % on most tasks; the best depth differs by task: "
        "frozen layers, tuned layers are QQP (2, 1), RTE (7, 5), MNLI (4, 3), CoLA (4, 8); 21 "
        "tasks on 5 GPUs instead of 42.",
        "abstract and second-hand",
        ("masked",),
    ),
    Evidence(
        "E10",
        "Lee et al. 2023, Surgical fine-tuning",
        "https://arxiv.org/abs/2210.11466",
        "Shift of the input: tune the first block; of subpopulations: the middle; of labels: "
        "the last. The first block alone beats full tuning on CIFAR-C by about 3 %; Auto-RGN "
        "(gradient norm over weight norm of each layer as its rate) has mean rank 1.29, full "
        "tuning 2.71, others, gradual unfreezing among them, at least 3.28; the advantage "
        "shrinks as data grow.",
        "abstract and second-hand",
        ("vision",),
    ),
    Evidence(
        "E11",
        "Merchant et al. 2020",
        "https://arxiv.org/abs/2004.14448",
        "Fine-tuning BERT changes mostly the top layers; parsing changes most of the model, "
        "SQuAD and MNLI little; linguistic knowledge is not lost catastrophically.",
        "abstract",
        ("masked",),
    ),
    Evidence(
        "E12",
        "Zhang et al. 2021; Mosbach et al. 2021",
        "https://arxiv.org/abs/2006.05987",
        "With few samples fine-tuning is unstable for lack of Adam's bias correction, for too "
        "few steps, and because top layers are a bad start; drawing the top layers anew "
        "helps.",
        "abstract",
        ("masked",),
    ),
    Evidence(
        "E13",
        "Houlsby et al. 2019; Rücklé et al. 2021, AdapterDrop",
        "https://arxiv.org/abs/1902.00751",
        "Adapters come within 0.4 % of full tuning on GLUE with 3.6 % of the parameters; as "
        "much by top layers alone takes 52.9 % of the parameters against 1.14 %. Training "
        "adapters is up to 60 % faster a step, inference 4-6 % slower; without those of the "
        "first five layers 39 % faster for 8 tasks at 97.1 % of the performance.",
        "abstract; 52.9, 1.14 and 97.1 second-hand",
        ("masked",),
    ),
    Evidence(
        "E14",
        "Evci et al. 2022, Head2Toe",
        "https://arxiv.org/abs/2201.03529",
        "Features of all frozen layers, selected by group lasso, equal full tuning on VTAB-1k "
        "on average, are over 100x cheaper to train and store, and better out of "
        "distribution.",
        "abstract",
        ("vision",),
    ),
    Evidence(
        "E15",
        "Brock et al. 2017, FreezeOut; He et al. 2021, PipeTransformer; Li et al. 2024, SmartFRZ",
        "https://arxiv.org/abs/1706.04983",
        "FreezeOut: up to 20 % of the time saved, 3 % lost on DenseNet, nothing on ResNet, no "
        "gain on VGG. PipeTransformer: up to 2.83x without loss (ViT, BERT). SmartFRZ: an "
        "attention-based predictor picks layers; the saving is called significant, its figure "
        "was not found.",
        "abstract",
        (
            "vision",
            "masked",
        ),
    ),
    Evidence(
        "E16",
        "Liu et al. 2019, MT-DNN",
        "https://arxiv.org/abs/1901.11504",
        "Multi-task BERT: GLUE 82.7 (2.2 points up), best on 8 of 9 tasks; needs far fewer "
        "in-domain labels on SNLI and SciTail.",
        "abstract",
        ("masked",),
    ),
    Evidence(
        "E17",
        "Kendall, Gal, Cipolla 2018, table 1",
        "https://arxiv.org/abs/1705.07115",
        "IoU / instance error / depth error. Single tasks 59.4 % / 4.61 / 0.640; equal "
        "weights 50.1 / 3.79 / 0.592; tuned by hand 62.8 / 3.61 / 0.549; learned uncertainty "
        "63.4 / 3.50 / 0.522.",
        "second-hand; two copies agree",
        ("vision",),
    ),
    Evidence(
        "E18",
        "Chen et al. 2018, GradNorm",
        "https://arxiv.org/abs/1711.02257",
        "NYUv2, three task errors in the order printed: equal weights 0.697/7.80/0.172; "
        "uncertainty 0.702/7.96/0.182; GradNorm 0.663/7.32/0.155; one run beats a grid of 100 "
        "networks.",
        "second-hand",
        ("vision",),
    ),
    Evidence(
        "E19",
        "Kurin et al. 2022; Xin et al. 2022",
        "https://arxiv.org/abs/2201.04122",
        "Plain sum .9090+-.0008, PCGrad .9093+-.0011, MGDA .9022 (CelebA), and PCGrad took "
        "1.0e4 s against 2.9e2 s; such methods do not improve beyond tuned fixed weights. A "
        "2025 study (2505.10347) disagrees in part.",
        "abstract and second-hand",
        ("vision",),
    ),
    Evidence(
        "E20",
        "Yu et al. 2020, PCGrad",
        "https://arxiv.org/abs/2001.06782",
        "Projecting conflicting gradients improves CIFAR-100 and NYUv2 in the paper; its "
        "figures were not found.",
        "abstract",
        ("vision",),
    ),
    Evidence(
        "E21",
        "Biderman et al. 2024",
        "https://arxiv.org/abs/2405.09673",
        "LoRA learns less and forgets less; forgetting is measured as the drop in the mean of "
        "old benchmarks.",
        "abstract",
        ("generative",),
    ),
    Evidence(
        "E22",
        "Skean et al. 2025; Liu et al. 2019",
        "https://arxiv.org/abs/2502.02013",
        "Middle layers beat the last by 2-16 % on embedding tasks; a scalar mix of layers "
        "beats any single layer of frozen transformers.",
        "second-hand",
        (
            "masked",
            "generative",
            "recurrent",
        ),
    ),
    Evidence(
        "E23",
        "N. Reimers, sentence-transformers issue 1032",
        "https://github.com/UKPLab/sentence-transformers/issues/1032",
        "Just adding a layer on top and freezing BERT performs rather badly; freezing 6 of 12 "
        "layers always dropped quality.",
        "text of an issue",
        ("masked",),
    ),
)

_BY_ID = {one.id: one for one in EVIDENCE}

_TOP = """\
# What is known about freezing

The findings that `mtfreeze.recommend` quotes by their number, as they stand in
`mtfreeze/recommending/evidence.py`. *Shown for* says which kind of model the source used; advice
says so where it is another kind than yours. *Basis* says where the figures were read: the abstract
or the publisher's page, or second-hand, from a text copy of, or notes on, the paper: check those
in the paper before you quote them.

"""

_END = """
Not found in the literature (November 2026): a published study of freezing in sentence encoders of
MiniLM's size, one of time on the CPU, one of many tasks with single heads frozen. What mtfreeze
measured itself is in [TRAINING_CONSIDERATIONS.md](TRAINING_CONSIDERATIONS.md).
"""


def evidence(id: str) -> Evidence:
    """Return a row by its number; ConfigError if there is none."""
    if id not in _BY_ID:
        raise ConfigError(unknown("evidence", id, _BY_ID))
    return _BY_ID[id]


def as_markdown() -> str:
    """Return the whole page."""
    lines = ["| id | source | finding | shown for | basis |", "| --- | --- | --- | --- | --- |"]
    for one in EVIDENCE:
        kinds = ", ".join(one.kinds)
        source = f"[{one.source}]({one.link})"
        cells = (f'<a id="{one.id}"></a>{one.id}', source, one.claim, kinds, one.basis)
        lines.append(f"| {' | '.join(cells)} |")
    return _TOP + "\n".join(lines) + "\n" + _END
