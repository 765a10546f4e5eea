"""Opens pages of a report from disk in headless Chromium, uses them as a person would, and prints what it saw as JSON.

PYTHONPATH=.deps/selenium python3 tests/python/look_at_report.py PLAN.json

PLAN.json: a list of {"page": FILE, "width": PIXELS, "picture": PNG or null, "do": [[ACTION, ARGUMENT...], ...]}. The
answer has for each page its console messages, the addresses that it asked for, milliseconds until it was drawn, and what
each action saw.
"""

import base64
import importlib.util
import json
import pathlib
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --autoplay-policy=no-user-gesture-required""".split()


def browser(profile: str) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def set_width(driver: webdriver.Chrome, width: int, height: int = 900) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait(driver: webdriver.Chrome, script: str):
    return WebDriverWait(driver, 20).until(lambda driver: driver.execute_script(script))


# Share of the pixels that are painted, and of different colours, of each chart.
INK = """return [...document.querySelectorAll("#timeline canvas")].map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  let painted = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 0) continue;
    painted++;
    colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
  }
  return { painted: painted / (data.length / 4), colours: colours.size };
});"""

# Pixels of the first chart from its upper edge down to the uppermost one of the colour of valence, in a column.
PEAK = """const u = abaw.timeline.charts.affect;
const { canvas } = u.ctx;
const probe = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--valence");
probe.fillRect(0, 0, 1, 1);
const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
probe.clearRect(0, 0, 1, 1);
probe.drawImage(canvas, 0, 0);
const column = Math.round(u.valToPos(arguments[0], "x", true));
let highest = null;
for (let x = column - 1; x <= column + 1; x++) {
  const { data } = probe.getImageData(x, 0, 1, canvas.height);
  for (let y = 0; y < data.length / 4; y++) {
    const near = Math.abs(data[4 * y] - red) + Math.abs(data[4 * y + 1] - green) + Math.abs(data[4 * y + 2] - blue);
    if (data[4 * y + 3] > 100 && near < 90) { highest = Math.min(highest ?? y, y); break; }
  }
}
return highest === null ? null : u.posToVal(highest / devicePixelRatio - u.bbox.top / devicePixelRatio, "y");"""

STATE = """const { charts, chosen, track } = abaw.timeline;
const overlay = document.getElementById("overlay");
const { min, max } = charts.affect.scales.x;
return { chosen, min, max, track: track.name, when: document.getElementById("when").textContent,
  frame: document.querySelector("#reading dd").textContent,
  value: document.getElementById("timeline").getAttribute("aria-valuenow"),
  words: document.getElementById("timeline").getAttribute("aria-valuetext"),
  overlay: overlay && { time: overlay.currentTime, error: overlay.error && overlay.error.message,
    ready: overlay.readyState, duration: overlay.duration, seeking: overlay.seeking } };"""


class Actions:
    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def ink(self):
        return self.driver.execute_script(INK)

    def peak(self, seconds: float):
        return self.driver.execute_script(PEAK, seconds)

    def state(self):
        return self.driver.execute_script(STATE)

    def click(self, chart: int, share: float):
        """Clicks at a share of a chart's width."""
        over = self.driver.find_elements(By.CSS_SELECTOR, "#timeline .u-over")[chart]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
        size = over.size
        offset = round((share - 0.5) * size["width"])
        ActionChains(self.driver).move_to_element_with_offset(over, offset, 0).click().perform()
        if self.driver.execute_script("return Boolean(document.getElementById('overlay'))"):
            wait(self.driver, "const o = document.getElementById('overlay'); return o.readyState > 1 && !o.seeking")
        return self.state()

    def hover(self, chart: int, share: float):
        over = self.driver.find_elements(By.CSS_SELECTOR, "#timeline .u-over")[chart]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
        offset = round((share - 0.5) * over.size["width"])
        ActionChains(self.driver).move_to_element_with_offset(over, offset, 0).perform()
        return self.state()

    def drag(self, chart: int, start: float, end: float):
        over = self.driver.find_elements(By.CSS_SELECTOR, "#timeline .u-over")[chart]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
        width = over.size["width"]
        chain = ActionChains(self.driver).move_to_element_with_offset(over, round((start - 0.5) * width), 0)
        chain.click_and_hold().move_by_offset(round((end - start) * width / 2), 0)
        chain.move_by_offset(round((end - start) * width / 2), 0).release().perform()
        return self.state()

    def keys(self, *keys: str):
        stack = self.driver.find_element(By.ID, "timeline")
        stack.send_keys(*keys)
        return self.state()

    def person(self, number: int):
        self.driver.execute_script(
            "const p = document.getElementById('person'); p.value = arguments[0]; p.dispatchEvent(new Event('change'))",
            number,
        )
        return self.state()

    def play(self):
        """Plays the overlay for a moment, then says where the timeline is."""
        self.driver.execute_script("document.getElementById('overlay').play()")
        wait(self.driver, "return document.getElementById('overlay').currentTime > 0.3")
        self.driver.execute_script("document.getElementById('overlay').pause()")
        wait(self.driver, "return abaw.timeline.chosen > 2")
        return self.state()

    def pictures(self):
        """Width of each picture of a face, as it was loaded, and what is written below it."""
        for image in self.driver.find_elements(By.CSS_SELECTOR, "#moments img"):
            self.driver.execute_script("arguments[0].scrollIntoView()", image)
        wait(self.driver, "return [...document.querySelectorAll('#moments img')].every((image) => image.complete)")
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#moments button')]"
            ".map((one) => [one.querySelector('img').naturalWidth, one.querySelector('b').textContent])"
        )

    def sort(self, column: int):
        """Presses the head of a column; the names of the videos then, and how it says it is sorted."""
        head = self.driver.find_elements(By.CSS_SELECTOR, "#table thead button")[column]
        self.driver.execute_script("arguments[0].focus()", head)
        head.send_keys("\n")
        return self.driver.execute_script(
            "return { names: [...document.querySelectorAll('#table tbody th')].map((name) => name.textContent),"
            " sort: document.querySelector('#table [aria-sort]').getAttribute('aria-sort') }"
        )

    def find(self, text: str):
        self.driver.find_element(By.ID, "find").send_keys(text)
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#table tbody tr:not([hidden]) th')].map((name) => name.textContent)"
        )

    def follow(self, text: str):
        """Follows a link by its text; the title of the page behind it."""
        self.driver.find_element(By.LINK_TEXT, text).click()
        wait(self.driver, "return document.readyState === 'complete'")
        return self.driver.title

    def press(self, selector: str):
        """Presses a button as the mouse does."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def write(self, selector: str, text: str):
        """Writes into a field, in place of what is there, and leaves it."""
        field = self.driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text, "\ue004")

    def select(self, selector: str, text: str):
        Select(self.driver.find_element(By.CSS_SELECTOR, selector)).select_by_visible_text(text)

    def draw(self, chart: int, *points: list[float]):
        """Draws over a chart with the mouse: shares of its width and height, from the upper left corner."""
        over = self.driver.find_elements(By.CSS_SELECTOR, "#timeline .u-over")[chart]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
        size = over.size
        chain = ActionChains(self.driver, duration=20)
        for nth, (across, down) in enumerate(points):
            place = [round((across - 0.5) * size["width"]), round((down - 0.5) * size["height"])]
            chain.move_to_element_with_offset(over, *place)
            if nth == 0:
                chain.click_and_hold()
        chain.release().perform()

    def open_file(self, selector: str, path: str):
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(path)

    def reload(self):
        self.driver.refresh()
        wait(self.driver, "return document.readyState === 'complete' && Boolean(abaw.timeline)")

    def download(self, selector: str, folder: str):
        """Presses a button that saves a file; the file's path."""
        settings = {"behavior": "allow", "downloadPath": folder}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", settings)
        before = set(pathlib.Path(folder).iterdir())
        self.press(selector)

        def saved(_driver) -> list[pathlib.Path]:
            found = set(pathlib.Path(folder).iterdir()) - before
            return [path for path in found if path.suffix != ".crdownload" and not path.name.startswith(".")]

        return str(WebDriverWait(self.driver, 20).until(saved)[0])

    def axe(self):
        """How many rules of axe-core hold, and what it finds that is serious or critical: rule and elements."""
        rules = pathlib.Path(importlib.util.find_spec("axe_core_python").origin).parent / "axe.min.js"
        self.driver.execute_script(rules.read_text())
        return self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run().then((found) => done({ hold: found.passes.length, broken: found.violations"
            ".filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => [one.id, one.nodes.map((node) => `${node.html} ${node.failureSummary}`)]) }))"
        )

    def dark(self, on: bool):
        """Switches the page to the colours that a dark desktop asks for, or back."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def text(self, selector: str):
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def script(self, script: str):
        return self.driver.execute_script(script)


def requests(driver: webdriver.Chrome) -> list[str]:
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"].split(",")[0])
    return found


def look(driver: webdriver.Chrome, job: dict) -> dict:
    set_width(driver, job["width"])
    driver.get_log("performance")
    driver.get(pathlib.Path(job["page"]).resolve().as_uri())
    drawn = wait(
        driver,
        "const [mark] = document.getElementById('timeline') ? performance.getEntriesByName('drawn')"
        " : performance.getEntriesByName('first-contentful-paint');"
        "const [page] = performance.getEntriesByType('navigation');"
        "return mark && page.loadEventEnd > 0 && Math.max(mark.startTime, page.loadEventEnd)",
    )
    seen = {"drawn_ms": drawn, "did": []}
    actions = Actions(driver)
    for name, *arguments in job.get("do", []):
        seen["did"].append(getattr(actions, name)(*arguments))
    seen["overflows"] = driver.execute_script(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    if job.get("picture"):
        driver.execute_script("scrollTo(0, 0)")
        set_width(driver, job["width"], driver.execute_script("return document.documentElement.scrollHeight"))
        driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        png = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        pathlib.Path(job["picture"]).write_bytes(base64.b64decode(png["data"]))
    seen["console"] = [entry["message"] for entry in driver.get_log("browser")]
    seen["requests"] = requests(driver)
    return seen


def main() -> None:
    jobs = json.loads(pathlib.Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as profile:
        driver = browser(profile)
        try:
            print(json.dumps([look(driver, job) for job in jobs]))
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
