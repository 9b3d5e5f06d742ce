"""Pictures of tensors, layers and graphs: matplotlib figures, and graphs as Graphviz, SVG, PNG or a web page.

The figures need matplotlib: ``pip install 'minigrad-nn[viz]'``. Each function returns a figure of its own, to be
saved with ``figure.savefig("name.png")`` or :func:`save_figures`; none opens a window.
"""

from __future__ import annotations

from .figures import confusion_matrix, plot_history, save_figures, show_feature_maps, show_images, show_kernels
from .graph import Graph, draw_graph
from .grid import make_grid, save_image
