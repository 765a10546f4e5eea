# Every step is a script in setup/ that does its work once and is silent afterwards. `make help` lists what to ask for.

INPUT =
OUT = $(if $(INPUT),runs/$(notdir $(INPUT:%/=%)),runs/sample)
PIPELINE =
DEVICE = auto
CUDA =
FUZZ_SECONDS = 60
export ROOTS = .deps/roots
PARTS =

ABAW = target/release/abaw
SAMPLES = sample_data/astronaut.mp4 sample_data/two_people.mp4 sample_data/carphone.mp4

.DEFAULT_GOAL = help
.PHONY: help annotate test lint fuzz build setup packages libtorch detector samples test-packages browser picture clean

help: ## print this list
	@echo 'make annotate    is where to start. All targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-22s %s\n", $$1, $$2 }'

annotate: build detector $(if $(INPUT),,samples) ## annotate the sample clips; or your own: INPUT=videos OUT=runs/mine PIPELINE=file DEVICE=cpu|cuda
	$(ABAW) annotate $(if $(INPUT),"$(INPUT)",$(SAMPLES)) --out "$(OUT)" $(if $(PIPELINE),--pipeline "$(PIPELINE)") --device "$(DEVICE)"
	$(if $(INPUT),,$(ABAW) submit "$(OUT)" --challenge mtl --template sample_data/aff-wild2/MTL/frame_list.txt --out "$(OUT)/submissions/mtl.txt")

test: setup ## run all tests
	cargo test --release

.PHONY: networks
networks: setup ## fetch PyTorch (2.5 GB) and timm, and hold a traced EfficientNet against PyTorch: Python 3.11
	@setup/network-packages.sh
	cargo test --release --test cli networks -- --nocapture

.PHONY: test-cluster slurm
test-cluster: setup slurm ## run the job scripts on a Slurm cluster of two nodes on this machine, some of which die
	cargo test --release --test cluster -- --ignored --nocapture

.PHONY: man
man: build ## write the man pages to man/man1: man -M man abaw
	@$(ABAW) man man/man1

slurm: packages ## install Slurm for test-cluster (root or sudo); nothing of it is started or set up
	@setup/packages.sh slurm

lint: packages libtorch licences ## check the format, the licences of dependencies, and run clippy, warnings are errors
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings

.PHONY: licences
licences: packages ## check licences and sources of dependencies by cargo-deny
	@setup/cargo-deny.sh

.PHONY: bench
bench: build detector samples ## measure beside PyTorch, onnxruntime, OpenVINO, PyAV, OpenCV, into docs/benchmarks.md: 20 minutes, a quiet machine
	@setup/bench-packages.sh
	PYTHONPATH="$(CURDIR)/.deps/bench:$(CURDIR)/.deps/pytorch" python3 benches/bench.py
	@$(MAKE) --no-print-directory bench-engine

.PHONY: bench-engine
bench-engine: build detector samples ## measure the engine around a stand-in for a GPU: a minute, one line of JSON
	@mkdir -p .deps/clips
	@[ -e .deps/clips/face_720p.mp4 ] || ffmpeg -v error -i sample_data/astronaut.mp4 -vf scale=1280:720,setsar=1 -frames:v 100 -an -pix_fmt yuv420p -c:v libx264 -crf 26 .deps/clips/face_720p.mp4
	cargo bench -q --bench stand_in -- .deps/clips/face_720p.mp4 8 $$(nproc)

fuzz: packages libtorch ## search for bytes that break a parser, FUZZ_SECONDS=60 for each
	RUSTC_WRAPPER="$(CURDIR)/fuzz/instrument.sh" cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target
	@for parser in $(notdir $(basename $(wildcard fuzz/targets/*.rs))); do \
	  echo "fuzz: $$parser"; \
	  mkdir -p fuzz/corpus/$$parser fuzz/artifacts; \
	  target/release/$$parser fuzz/corpus/$$parser fuzz/cases/$$parser -artifact_prefix=fuzz/artifacts/$$parser- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 || exit 1; \
	done

build: packages libtorch ## build target/release/abaw
	cargo build --release

setup: packages libtorch detector samples test-packages snakemake browser ## only install and fetch what the other targets need

packages: ## install the Debian packages (root or sudo)
	@setup/packages.sh

libtorch: packages ## fetch libtorch, 540 MB once a machine; CUDA=1: the CUDA set, 2.5 GB; CUDA=0: back to the CPU set
	@setup/libtorch.sh $(CUDA)

detector: packages ## fetch and convert the face detector's weights
	@setup/detector.sh

samples: packages ## fetch and make the sample clips that are not in the repository
	@setup/samples.sh

test-packages: packages ## fetch DuckDB, pandas, pyarrow and readers of annotation tools for the tests
	@setup/test-packages.sh

.PHONY: snakemake
snakemake: packages ## fetch Snakemake for the test of the Snakefile
	@setup/snakemake.sh

.PHONY: dist roots
dist: man libtorch detector roots ## make the wheel dist/abaw-VERSION-py3-none-manylinux_2_31_x86_64.whl, in a root of Debian 11 below ROOTS=.deps/roots (root)
	@packaging/dist.sh

roots: packages
	@setup/packages.sh roots

.PHONY: test-install
test-install: build roots samples test-packages ## try the wheel in fresh roots of Debian 11, 12, 13, the container's content, a source build: 10 GB below ROOTS; PARTS='bullseye ...'
	@packaging/test-install.sh $(PARTS)

.PHONY: release-check
release-check: lint test dist test-install ## all that a release needs: tests, wheel, install, licences, one version everywhere
	@packaging/release-check.sh

browser: packages ## install Chromium and fetch Selenium for the tests of the report's pages
	@setup/browser.sh

picture: build detector samples browser ## make docs/report.png, the picture in the README
	@docs/make_picture.sh

clean: ## remove what was built and fetched here; runs/ and the machine-wide cache stay
	rm -rf target .deps man
	rm -f models/retinaface-mobilenet0.25.safetensors sample_data/carphone.mp4 sample_data/two_people.mp4
