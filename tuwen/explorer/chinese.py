"""The Chinese of every text of the interface."""

from __future__ import annotations

_FRAME: dict[str, str] = {
    "Browse": "浏览",
}
_ITEM: dict[str, str] = {}
_DUPLICATES: dict[str, str] = {}
_SELECTIONS: dict[str, str] = {}  # funnel, thresholds, saving
_RELEASES: dict[str, str] = {}
_COMPARE: dict[str, str] = {}
_DISTRIBUTIONS: dict[str, str] = {
    "Distributions": "分布",
    "Hosts": "主机",
    "Where pages and images come from. Be wary where one host holds a large share: its layout, its boilerplate "
    "and its opinions become the corpus'.": "网页和图像来自哪里。如果某个主机占比过大就要留心：它的版式、套话和观点会变成整个语料的特点。",
    "Languages": "语言",
    "What language a text was told to be in. Look for one that is missing, one that nobody asked for, and many "
    "texts whose language nothing was said of.": "文本被判定为哪种语言。留意缺失的语言、意料之外的语言，以及大量没有判定语言的文本。",
    "Text sources": "文本来源",
    "What kind of text stands beside the images, and where on the page. Captions and alt texts describe an "
    "image; page titles and paragraphs around it often do not.": "图像旁边是什么文本、位于页面何处。图注和替代文本描述图像本身，页面标题和周围段落往往不是。",
    "Lengths": "长度",
    "Very short texts are labels and buttons, very long ones are whole articles. A single tall bar is usually "
    "one text that a template repeats.": "很短的文本多是标签和按钮，很长的则是整篇文章。孤立的高柱通常是模板反复输出的同一段文本。",
    "Image sizes": "图像尺寸",
    "Full cells on the diagonal at 16, 32 or 64 pixels are icons; far from it lie banners and strips. Click a "
    "cell to see them.": "对角线上 16、32、64 像素处颜色较深的格子是图标；远离对角线的是横幅和长条。点击格子查看这些图像。",
    "Duplicates": "重复",
    "How often rows repeat. What recurs on many pages, or lies in large clusters, is learned many times over, "
    "and is what models reproduce.": "数据重复的程度。在许多页面上反复出现、或属于大簇的内容会被多次学习，也最容易被模型原样复现。",
    "Near-duplicates": "近重复",
    "Opt-outs and rights": "退出声明与权利",
    "What pages and servers said about use for training. Rows for which nothing was checked are not rows to "
    "which nobody objected.": "网页和服务器对用于训练的表态。没有检查过，不等于没有人反对。",
    "Fetches": "抓取",
    "What came of asking for images. Many errors of one kind mean links that rot, a host that refuses, or a run "
    "that was cut off.": "请求图像的结果。大量同类错误意味着链接失效、主机拒绝访问，或者运行被中断。",
    "Concepts": "概念",
    "Head and tail of what texts mention. A few concepts crowd out the rest; those that occur once or twice are "
    "not learned.": "文本所提概念的头部与尾部。少数概念会挤占其余概念；只出现一两次的概念学不会。",
    "Scores": "分数",
    "Every other number, by the stage that wrote it. Look for spikes at the ends, for two humps where a "
    "threshold would cut, and for values that were not computed.": "其余所有数值，按写入它的阶段分组。留意两端的尖峰、适合设阈值的双峰，以及未计算的值。",
    "Rows": "数据行",
    "the whole corpus": "整个语料",
    "show these rows": "查看这些数据",
    "There are no rows yet.": "还没有数据。",
    "Value": "值",
    "Share": "占比",
    "The %(n)s commonest of %(all)s.": "共 %(all)s 个值，这里是最常见的 %(n)s 个。",
    "Nothing to count.": "没有可统计的内容。",
    "no value: %(n)s": "无值：%(n)s",
    "no error: %(n)s": "无错误：%(n)s",
    "median %(middle)s, 98%% between %(low)s and %(high)s": "中位数 %(middle)s，98%% 介于 %(low)s 与 %(high)s 之间",
    "Table": "表格",
    "Width against height": "宽度与高度",
    "Evidence": "证据",
    "objects": "反对",
    "does not": "未反对",
    "not checked": "未检查",
    "rank": "排名",
    "mentions": "提及次数",
    "The tail": "尾部",
    "mentioned": "提及",
    "concepts": "概念数",
    "Count all rows": "统计全部数据",
}
_MAP: dict[str, str] = {}

CHINESE = _FRAME | _ITEM | _DUPLICATES | _SELECTIONS | _RELEASES | _COMPARE | _DISTRIBUTIONS | _MAP
