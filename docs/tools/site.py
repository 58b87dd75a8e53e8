"""MkDocs hooks for links that leave docs/. On GitHub such a link opens the file, but the site has no such files."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'(!?)\[([^\]]*)\]\(((?:\.\./)+)([^)\s"]+)[^)]*\)')


def leaves_docs(up: str, src_uri: str) -> bool:
    """Return whether a relative link goes above docs/.

    Args:
        up: the leading `../` of the link.
        src_uri: path of the page below docs/.
    """
    return up.count("../") > src_uri.count("/")


def on_files(files, config):
    """Add the pictures outside docs/ that pages show, under their paths in the repository."""
    for page in list(files.documentation_pages()):
        for picture, _, up, path in LINK.findall(page.content_string):
            if picture and leaves_docs(up, page.src_uri) and not files.get_file_from_path(path):
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Point pictures outside docs/ to their copies. Replace other links out of docs/ by their text.

    The path follows the text in brackets, unless the text has a digit (as measured numbers do) or names the path.
    """

    def replace(link: re.Match) -> str:
        picture, text, up, path = link.groups()
        if not leaves_docs(up, page.file.src_uri):
            return link[0]
        if picture:
            return f"![{text}]({up.removeprefix('../')}{path})"
        return text if any(map(str.isdigit, text)) or path in text else f"{text} (`{path}`)"

    return LINK.sub(replace, markdown)
