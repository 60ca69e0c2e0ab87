"""What a person does on the canvas by hand and by keys."""

import io
import re
from pathlib import Path

from PIL import Image
from playwright.async_api import Locator, Page, expect

from tests.web.visitor import Visitor

MANY_NODES = 200
# Two hundred nodes as a project's row keeps them, in rows of twenty.
CROWD = """
update public.projects set updated_at = now(), canvas_state = (
  select jsonb_build_object('version', 1, 'edges', '[]'::jsonb, 'nodes', jsonb_agg(
    jsonb_build_object(
      'id', 'n' || n, 'kind', case when n % 4 = 3 then 'settings' else 'prompt' end,
      'x', n % 20 * 340, 'y', n / 20 * 420, 'text', 'number ' || n
    )
  ))
  from generate_series(0, $1::integer - 1) as n
)
"""
# Which nodes were drawn anew while something happened.
WATCH = """
() => {
  window.touched = new Set()
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const node = (target.nodeType === 1 ? target : target.parentElement)?.closest('[data-id]')
      if (node) window.touched.add(node.dataset.id)
    }
  }).observe(document.querySelector('.react-flow__nodes'), {
    subtree: true, childList: true, characterData: true, attributes: true,
  })
}
"""


# What was changed within nodes, and not at their own classes and places.
WATCH_INSIDES = """
() => {
  window.insides = []
  new MutationObserver((changes) => {
    for (const { target, attributeName } of changes)
      if (target.parentElement.closest('[data-id]'))
        window.insides.push(`${target.tagName} ${attributeName}`)
  }).observe(document.querySelector('.react-flow__nodes'), {
    subtree: true, childList: true, characterData: true, attributes: true,
  })
}
"""


async def begin(person: Visitor) -> Page:
    await person.go("/")
    await person.page.get_by_role("button", name="Start with a prompt").click()
    await expect(nodes(person.page)).to_have_count(2)
    return person.page


def nodes(page: Page, name: str | None = None) -> Locator:
    found = page.locator(".react-flow__node")
    return found if name is None else found.filter(has=page.get_by_role("region", name=name))


async def focus_canvas(page: Page) -> None:
    await page.locator(".react-flow__pane").click(position={"x": 20, "y": 20})


async def test_every_edit_is_taken_back_and_made_again_by_keys(person: Visitor) -> None:
    page = await begin(person)
    await page.get_by_role("textbox", name="Prompt").fill("A robot")
    await page.get_by_role("button", name="Add").click()
    await page.get_by_role("menuitem", name="References").click()
    await expect(nodes(page)).to_have_count(3)
    await focus_canvas(page)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await expect(page.get_by_text("An empty canvas")).to_be_visible()
    await page.keyboard.press("Control+z")
    await expect(nodes(page)).to_have_count(3)
    await page.keyboard.press("Control+z")
    await expect(nodes(page)).to_have_count(2)
    await page.keyboard.press("Control+z")
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("")
    for _ in range(2):
        await page.keyboard.press("Control+Shift+z")
    await expect(nodes(page)).to_have_count(3)
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("A robot")


async def test_nodes_are_copied_with_what_connects_them(person: Visitor) -> None:
    page = await begin(person)
    await page.get_by_role("textbox", name="Prompt").fill("A robot")
    await person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await focus_canvas(page)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Control+c")
    await page.keyboard.press("Control+v")
    await expect(nodes(page)).to_have_count(4)
    await expect(page.locator(".react-flow__edge")).to_have_count(2)
    for prompt in await page.get_by_role("textbox", name="Prompt").all():
        await expect(prompt).to_have_value("A robot")


async def test_a_node_is_moved_by_its_title_and_stays_there(person: Visitor) -> None:
    page = await begin(person)
    title = nodes(page, "Prompt").locator("header")
    box = await title.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 60, box["y"] + 12)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 60, box["y"] - 88, steps=8)
    await page.mouse.up()
    await expect(page.locator("[data-saving=saved]")).to_be_visible()
    canvas = "select canvas_state::text from public.projects"
    before = await person.product.admin.fetchval(canvas)
    await page.reload()
    await expect(nodes(page)).to_have_count(2)
    assert await person.product.admin.fetchval(canvas) == before


async def test_pictures_are_sent_up_and_asked_for_with_the_prompt(
    person: Visitor, tmp_path: Path
) -> None:
    page = await begin(person)
    await page.get_by_role("textbox", name="Prompt").fill("The same, at night")
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), "#7a4a30").save(picture, "PNG")
    await nodes(page, "Generate").locator("header").click()
    await page.get_by_role("button", name="Add").click()
    await page.get_by_role("menuitem", name="References").click()
    # It was added beside the chosen node, and leads into it.
    await expect(page.locator(".react-flow__edge")).to_have_count(2)
    files = {"name": "day.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    references = nodes(page, "References")
    await references.locator("input[type=file]").set_input_files(files)
    await expect(references.get_by_role("button", name="Remove picture")).to_be_visible()
    await expect(references.locator("img")).to_be_visible()
    await nodes(page, "Generate").get_by_role("button", name="Generate ·").click()
    await expect(page.get_by_role("img", name="The same, at night")).to_have_count(4)
    await person.picture("editor-references")
    payload = await person.product.admin.fetchval("select payload::text from public.jobs")
    assert f"storage:uploads/{person.user_id}/canvas/" in payload
    canvas = await person.product.admin.fetchval("select canvas_state::text from public.projects")
    assert "base64" not in canvas and "data:" not in canvas


async def test_what_is_no_picture_is_refused_with_a_reason(person: Visitor) -> None:
    page = await begin(person)
    await page.get_by_role("button", name="Add").click()
    await page.get_by_role("menuitem", name="References").click()
    files = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"}
    await nodes(page, "References").locator("input[type=file]").set_input_files(files)
    await expect(page.get_by_text("notes.txt: Pictures are PNG")).to_be_visible()


async def test_a_template_is_saved_and_used(person: Visitor) -> None:
    page = await begin(person)
    await page.get_by_role("textbox", name="Prompt").fill("A robot")
    await page.get_by_role("button", name="Templates").click()
    dialog = page.get_by_role("dialog", name="Templates")
    await expect(dialog).to_be_visible()
    await person.picture("editor-templates")
    # Of the nodes that are selected, which is the prompt alone.
    await dialog.get_by_label("Save as template").fill("Robots")
    await dialog.get_by_role("button", name="Save").click()
    await dialog.get_by_role("button", name=re.compile("^Robots")).click()
    await expect(nodes(page)).to_have_count(3)
    await page.get_by_role("button", name="Templates").click()
    await page.get_by_role("button", name="One place, three").click()
    await expect(nodes(page)).to_have_count(12)


async def test_two_hundred_nodes_are_drawn_one_at_a_time(person: Visitor) -> None:
    page = await begin(person)
    await expect(page.locator("[data-saving=saved]")).to_be_visible()
    await person.product.admin.execute(CROWD, MANY_NODES)
    await page.reload()
    first = page.locator("[data-id=n0]").get_by_role("textbox")
    await expect(first).to_have_value("number 0")
    # The prices come after the nodes that show them.
    await expect(page.locator("[data-id=n3]").get_by_text("4 credits")).to_be_visible()
    await page.evaluate(WATCH)
    await first.fill("changed")
    await expect(page.locator("[data-saving=saved]")).to_be_visible()
    assert await page.evaluate("[...window.touched]") == ["n0"]
    await person.picture("editor-many")


async def test_two_hundred_nodes_are_selected_removed_and_brought_back(person: Visitor) -> None:
    page = await begin(person)
    await expect(page.locator("[data-saving=saved]")).to_be_visible()
    await person.product.admin.execute(CROWD, MANY_NODES)
    await page.reload()
    await expect(nodes(page)).to_have_count(MANY_NODES)
    await expect(page.get_by_role("combobox", name="Model").first).to_be_visible()
    await focus_canvas(page)
    await page.evaluate(WATCH_INSIDES)
    await page.keyboard.press("Control+a")
    await expect(page.locator(".react-flow__node.selected")).to_have_count(MANY_NODES)
    # Selecting draws nothing anew but the nodes' rings.
    assert await page.evaluate("window.insides") == []
    await page.keyboard.press("Delete")
    await expect(page.get_by_text("An empty canvas")).to_be_visible()
    await page.keyboard.press("Control+z")
    await expect(nodes(page)).to_have_count(MANY_NODES)
    last = page.locator(f"[data-id=n{MANY_NODES - 2}]").get_by_role("textbox")
    await expect(last).to_have_value(f"number {MANY_NODES - 2}")
    await expect(page.locator("[data-saving=saved]")).to_be_visible()


async def test_the_rows_of_a_shut_select_wait_until_somebody_comes_near(person: Visitor) -> None:
    page = await begin(person)
    model = nodes(page, "Generate").get_by_role("combobox", name="Model")
    await expect(model).to_have_text(re.compile("Sandbox"))
    # By keys alone, as a reader of the screen does.
    await model.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("option").first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("option")).to_have_count(0)
    await expect(model).to_be_focused()
    # Without the focus or a pointer, as other software presses it.
    await model.evaluate("button => button.blur()")
    await model.dispatch_event("click")
    await expect(page.get_by_role("option").first).to_be_visible()


async def test_projects_are_made_named_changed_and_removed(person: Visitor) -> None:
    page = await begin(person)
    await page.get_by_role("button", name="Project: First project").click()
    await page.get_by_role("menuitem", name="New project").click()
    await expect(page.get_by_text("An empty canvas")).to_be_visible()
    await page.get_by_role("button", name="Project: Untitled").click()
    await page.get_by_role("menuitem", name="Rename project").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Lighthouses")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Project: Lighthouses").click()
    await page.get_by_role("menuitem", name="First project").click()
    await expect(nodes(page)).to_have_count(2)
    await page.get_by_role("button", name="Project: First project").click()
    await page.get_by_role("menuitem", name="Delete project").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Project: Lighthouses")).to_be_visible()
    assert await person.product.count("public.projects") == 1
