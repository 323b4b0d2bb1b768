# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make help` lists the targets. Everything that is made goes under build/ (or build-<sanitizers>/).
# Useful variables: V=1 shows the commands; SANITIZE=address,undefined builds with sanitizers beside the plain
# build; CFLAGS and LDFLAGS are appended to; B=DIR builds elsewhere.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:

comma := ,
SANITIZE ?=
B := build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
.DEFAULT_GOAL := $(B)/sojourn

V ?= 0
# Options of one letter are the first word of MAKEFLAGS, without a dash.
quiet := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
Q := $(if $(filter 1,$(V)),,@)
msg := $(if $(filter 1,$(V))$(quiet),@:,@printf '  %-7s %s\n')
MAKEFLAGS += --no-print-directory

# bpftool lives in an administrator's folder on Debian, which an ordinary PATH leaves out.
export PATH := $(PATH):/usr/sbin:/sbin

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif
CLANG ?= clang
BPFTOOL ?= bpftool
LLVM_STRIP ?= llvm-strip
PKG_CONFIG ?= pkg-config
PROVE ?= prove
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 20

BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))

# ---- flags ----------------------------------------------------------------------------------------------------------

PACKAGES := libbpf libelf zlib gsl jansson yaml-0.1 libcap-ng libseccomp libevent_core libevent_extra libevent_openssl \
	openssl libcrypt

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition -Wvla \
	-Wwrite-strings -Wundef -Wpointer-arith -Wformat=2 -Wcast-qual -Wredundant-decls -Wimplicit-fallthrough
# ncursesw asks for an older X/Open level than _GNU_SOURCE stands for.
PACKAGE_CFLAGS := $(filter-out -D_XOPEN_SOURCE=% -D_DEFAULT_SOURCE, \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null))
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
# Either the sanitizers watch, or the cheap guards that a privileged program should always have.
SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer,\
	-D_FORTIFY_SOURCE=2 -fstack-protector-strong)

# The user side sees the skeletons; sanitizers make no difference to the kernel side, so both builds share them.
SKEL_DIR := $(if $(SANITIZE),build,$(B))/bpf
TEST_SKEL_DIR := $(if $(SANITIZE),build,$(B))/tests/bpf

SJ_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Iuser -I$(SKEL_DIR) $(PACKAGE_CFLAGS)
SJ_CFLAGS := -std=gnu17 -O2 -g -fPIE $(WARNINGS) -pthread
SJ_LDFLAGS := -pthread -pie -Wl,--as-needed,-z,relro,-z,now
SJ_LIBS := $(PACKAGE_LIBS) -lm

COMPILE_FLAGS = $(SJ_CPPFLAGS) $(CPPFLAGS) $(SJ_CFLAGS) $(SANITIZE_FLAGS) $(CFLAGS)
LINK_FLAGS = $(SJ_CFLAGS) $(SANITIZE_FLAGS) $(CFLAGS) $(SJ_LDFLAGS) $(LDFLAGS)

# A tracepoint's program names all of its arguments, whether it needs them or not.
BPF_CFLAGS := -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -std=gnu17 -O2 -g \
	-Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wwrite-strings -Wimplicit-fallthrough -Wno-unused-parameter \
	-Iinclude -Ivmlinux -Ibpf -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# ---- what there is --------------------------------------------------------------------------------------------------

USER_SRC := $(sort $(wildcard user/*.c user/*/*.c))
LIB_SRC := $(filter-out user/main.c,$(USER_SRC))
USER_OBJ := $(USER_SRC:%.c=$(B)/obj/%.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
BASE_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter user/base/%,$(USER_SRC)))

BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
TEST_BPF_SRC := $(sort $(wildcard tests/bpf/*.bpf.c))
SKELS := $(BPF_SRC:bpf/%.bpf.c=$(SKEL_DIR)/%.skel.h)
TEST_SKELS := $(TEST_BPF_SRC:tests/bpf/%.bpf.c=$(TEST_SKEL_DIR)/%.skel.h)

TOOL_SRC := $(sort $(wildcard tools/*/*.c))
TOOL_OBJ := $(TOOL_SRC:%.c=$(B)/obj/%.o)
TOOLS := $(patsubst tools/%/,$(B)/tools/%,$(sort $(dir $(TOOL_SRC))))

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_OBJ := $(UNIT_SRC:%.c=$(B)/obj/%.o)
# What several unit tests share.
UNIT_SHARED := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(UNIT_SRC),$(sort $(wildcard tests/unit/*.c))))
UNIT := $(UNIT_SRC:%.c=$(B)/%)
E2E := $(sort $(wildcard tests/e2e/*.t))

FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ := $(FUZZ_SRC:%.c=$(B)/fuzz/obj/%.o)
FUZZ_LIB_OBJ := $(LIB_SRC:%.c=$(B)/fuzz/obj/%.o)
FUZZ := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/fuzz/%)

REPLAY := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/tests/fuzz/replay_%)
REPLAY_OBJ := $(FUZZ_SRC:%.c=$(B)/obj/%.o) $(B)/obj/tests/fuzz/replay.o

OBJ := $(USER_OBJ) $(TOOL_OBJ) $(UNIT_OBJ) $(UNIT_SHARED) $(REPLAY_OBJ)
DEP := $(OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) $(FUZZ_LIB_OBJ:.o=.d) \
	$(SKELS:.skel.h=.bpf.d) $(TEST_SKELS:.skel.h=.bpf.d)

# ---- the program ----------------------------------------------------------------------------------------------------

$(B)/sojourn: $(USER_OBJ) $(B)/sources
	$(msg) LINK $@
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $(USER_OBJ) $(SJ_LIBS)

$(B)/libsojourn.a: $(LIB_OBJ) $(B)/sources
	$(msg) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

$(UNIT_OBJ) $(UNIT_SHARED): | $(TEST_SKELS)
$(B)/obj/tests/%.o: private SJ_CPPFLAGS += -I$(TEST_SKEL_DIR)
$(B)/obj/%.o: %.c $(B)/flags | $(SKELS)
	$(msg) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(COMPILE_FLAGS) -MMD -MP -c -o $@ $<

# Two files that change only when their content does: the flags of the last build and its list of sources. What depends
# on them is made again when a flag changes, or when a source appears or goes.
quoted = '$(subst ','\'',$(1))'
flags_now := $(strip $(CC) $(CLANG) $(COMPILE_FLAGS) $(LINK_FLAGS) $(SJ_LIBS))
sources_now := $(strip $(USER_SRC))
ifneq ($(file <$(B)/flags),$(flags_now))
.PHONY: $(B)/flags
endif
ifneq ($(file <$(B)/sources),$(sources_now))
.PHONY: $(B)/sources
endif

$(B)/flags: | $(B)/
	$(Q)$(PKG_CONFIG) --print-errors --exists $(PACKAGES) || \
		{ echo 'libraries are missing: `make deps` installs them' >&2; exit 1; }
	$(Q)printf '%s\n' $(call quoted,$(flags_now)) >$@

$(B)/sources: | $(B)/
	$(Q)printf '%s\n' $(call quoted,$(sources_now)) >$@

$(B)/:
	$(Q)mkdir -p $@

# ---- the kernel side ------------------------------------------------------------------------------------------------

# An object and its skeleton; $(1): folder of sources, $(2): folder of results.
define bpf_rules
$(2)/%.bpf.o: $(1)/%.bpf.c Makefile | $(2)/
	$$(msg) BPF $$<
	$$(Q)$$(CLANG) $$(BPF_CFLAGS) -MMD -MP -MF $(2)/$$*.bpf.d -c -o $$@ $$<
	$$(Q)$$(LLVM_STRIP) -g $$@

# The generated code is not written to this project's warnings, so it declares itself a system header.
$(2)/%.skel.h: $(2)/%.bpf.o
	$$(msg) SKEL $$@
	$$(Q)echo '#pragma GCC system_header' >$$@
	$$(Q)$$(BPFTOOL) gen skeleton $$< name $$(subst -,_,$$*)_bpf >>$$@

$(2)/:
	$$(Q)mkdir -p $$@
endef
$(eval $(call bpf_rules,bpf,$(SKEL_DIR)))
$(eval $(call bpf_rules,tests/bpf,$(TEST_SKEL_DIR)))
.SECONDARY: $(SKELS:.skel.h=.bpf.o) $(TEST_SKELS:.skel.h=.bpf.o) $(OBJ) $(FUZZ_OBJ) $(FUZZ_LIB_OBJ)

.PHONY: bpf
bpf: $(SKELS) $(TEST_SKELS)

# ---- tools, tests, fuzzing ------------------------------------------------------------------------------------------

.PHONY: tools
tools: $(TOOLS)

# Objects of the program that a tool needs besides `base`.
tool_needs_verifier := $(B)/obj/user/probe/lockdown.o
tool_needs_play := $(B)/libsojourn.a
tool_needs_bench-watch := $(B)/libsojourn.a

define tool_rule
$(B)/tools/$(1): $(patsubst %.c,$(B)/obj/%.o,$(filter tools/$(1)/%,$(TOOL_SRC))) $(BASE_OBJ) $(tool_needs_$(1))
	$$(msg) LINK $$@
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LINK_FLAGS) -o $$@ $$^ $$(SJ_LIBS)
endef
$(foreach t,$(notdir $(TOOLS)),$(eval $(call tool_rule,$(t))))

$(UNIT): $(B)/%: $(B)/obj/%.o $(UNIT_SHARED) $(B)/libsojourn.a
	$(msg) LINK $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ -lcmocka $(SJ_LIBS)

FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
$(B)/fuzz/obj/%.o: %.c $(B)/flags | $(SKELS)
	$(msg) FUZZCC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(SJ_CPPFLAGS) $(CPPFLAGS) $(SJ_CFLAGS) $(FUZZ_FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/libsojourn.a: $(FUZZ_LIB_OBJ) $(B)/sources
	$(msg) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(FUZZ_LIB_OBJ)

$(FUZZ): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/fuzz_%.o $(B)/fuzz/libsojourn.a
	$(msg) LINK $@
	$(Q)$(CLANG) $(SJ_CFLAGS) $(subst fuzzer-no-link,fuzzer,$(FUZZ_FLAGS)) $(CFLAGS) $(SJ_LDFLAGS) $(LDFLAGS) \
		-o $@ $< $(B)/fuzz/libsojourn.a $(SJ_LIBS)

# The same targets without libFuzzer: one pass over the corpus, for `make test`.
$(REPLAY): $(B)/tests/fuzz/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(B)/libsojourn.a
	$(msg) LINK $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(SJ_LIBS)

# New findings stay under $(B); the committed corpus is only read.
.PHONY: fuzz $(FUZZ:%=run-%)
fuzz: $(FUZZ:%=run-%)
$(FUZZ:%=run-%): run-%: %
	$(msg) FUZZ $*
	$(Q)mkdir -p $*.found $*.crash
	$(Q)$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
		$(addprefix -dict=,$(wildcard tests/fuzz/$(notdir $*).dict)) -artifact_prefix=$*.crash/ \
		$*.found $(wildcard tests/fuzz/corpus/$(notdir $*)/)

.PHONY: unit unit-binaries
unit-binaries: $(UNIT) $(if $(SANITIZE),$(REPLAY))
unit: $(UNIT) $(if $(SANITIZE),$(REPLAY))
	$(Q)SOJOURN=$(B)/sojourn $(PROVE) --timer --exec tests/run $^

# ---- everyday targets -----------------------------------------------------------------------------------------------

.PHONY: all run test lint tidy format bench deps install clean help vmlinux FORCE

all: $(B)/sojourn $(TOOLS) $(UNIT)

deps:
	$(Q)tools/install-deps.sh build test

# Dependencies come first, so the rest is a second make that sees them.
run:
	$(Q)tools/install-deps.sh build
	$(Q)$(MAKE) $(B)/sojourn tools
	$(Q)tools/demo.sh

# The plain build's unit tests, the same with sanitizers, the rules of the house and the end-to-end tests, in one
# summary, what boots guests last. With SANITIZE=... everything runs from that build alone.
SANITIZED := $(if $(SANITIZE),,build-address-undefined)
TESTS := tools/lint.sh $(UNIT) $(if $(SANITIZED),$(patsubst $(B)/%,$(SANITIZED)/%,$(UNIT) $(REPLAY)),$(REPLAY)) $(E2E) \
	tests/vm/unit.t tests/vm/matrix.t
test:
	$(Q)tools/install-deps.sh build test
	$(Q)$(MAKE) $(B)/sojourn tools bpf unit-binaries
	$(if $(SANITIZED),$(Q)$(MAKE) SANITIZE=address$(comma)undefined B=$(SANITIZED) unit-binaries)
	$(Q)B=$(B) SOJOURN=$(B)/sojourn $(PROVE) --timer --exec tests/run $(TESTS)

lint:
	$(Q)B=$(B) tools/lint.sh

# clang-tidy on a file again only when its object is newer, that is, when it or a header of its has changed.
TIDY := $(patsubst %,$(B)/lint/%.tidy,$(USER_SRC) $(TOOL_SRC) $(BPF_SRC))
tidy: $(TIDY)

$(B)/lint/%.c.tidy: $(B)/obj/%.o .clang-tidy
	$(msg) TIDY $*.c
	$(Q)mkdir -p $(@D)
	$(Q)clang-tidy --quiet $*.c -- $(SJ_CPPFLAGS) $(SJ_CFLAGS) \
		>$@.log 2>&1 || \
		{ grep -v 'generated\.$$' $@.log; exit 1; }
	$(Q)touch $@

# The analyzer does not understand CO-RE's relocations, and the verifier follows every path anyway.
$(B)/lint/bpf/%.bpf.c.tidy: $(SKEL_DIR)/%.bpf.o .clang-tidy
	$(msg) TIDY bpf/$*.bpf.c
	$(Q)mkdir -p $(@D)
	$(Q)clang-tidy --quiet --checks='-clang-analyzer-*' bpf/$*.bpf.c -- $(BPF_CFLAGS) >$@.log 2>&1 || \
		{ grep -v 'generated\.$$' $@.log; exit 1; }
	$(Q)touch $@

# For all own C files, or for F="FILE...".
format:
	$(Q)clang-format -i $(or $(F),$(wildcard user/*.[ch] user/*/*.[ch] bpf/*.[ch] include/*/*.h tools/*.[ch] \
		tools/*/*.[ch] tests/*/*.[ch]))

bench:
	$(Q)tools/install-deps.sh build test
	$(Q)$(MAKE) $(B)/sojourn tools bpf
	$(Q)SOJOURN=$(B)/sojourn tools/bench/run $(addprefix --readme ,$(README))

vmlinux:
	$(Q)tools/gen-vmlinux.py vmlinux/types.list vmlinux/vmlinux.h

install: $(B)/sojourn
	install -D -m 755 $(B)/sojourn $(DESTDIR)$(PREFIX)/bin/sojourn
	install -D -m 644 docs/sojourn.1 $(DESTDIR)$(PREFIX)/share/man/man1/sojourn.1
	install -D -m 644 docs/sojourn.yaml.5 $(DESTDIR)$(PREFIX)/share/man/man5/sojourn.yaml.5
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/sojourn
	sed 's,^ExecStart=/usr/local/,ExecStart=$(PREFIX)/,' deploy/sojourn.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/sojourn.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/sojourn.service
	install -m 644 deploy/sojourn.yaml deploy/prometheus-rules.yml deploy/grafana-dashboard.json \
		$(DESTDIR)$(PREFIX)/share/doc/sojourn/

# The kernel matrix: other kernels in qemu, and this one; then the systemd unit in a guest. VM="GUEST..." for some of the
# matrix only.
.PHONY: test-vm
test-vm:
	$(Q)tools/install-deps.sh build test
	$(Q)$(MAKE) $(B)/sojourn tools bpf
	$(Q)B=$(B) SOJOURN=$(B)/sojourn $(PROVE) --timer --verbose --exec tests/run tests/vm/matrix.t \
		$(if $(VM),:: $(VM),tests/vm/unit.t)

# For editors and clangd.
json_words = $(foreach word,$(1),$(comma) "$(word)")
json_entry = $(if $(filter $(1),$(firstword $(USER_SRC))),,$(comma)){ \
	"directory": "$(CURDIR)", "file": "$(1)", \
	"arguments": ["$(firstword $(2))"$(call json_words,$(wordlist 2,99,$(2)) -c $(1))]}
compile_commands.json: FORCE
	$(file >$@,[ \
		$(foreach s,$(USER_SRC) $(TOOL_SRC) $(UNIT_SRC) $(FUZZ_SRC),$(call json_entry,$(s),$(CC) $(COMPILE_FLAGS))) \
		$(foreach s,$(BPF_SRC) $(TEST_BPF_SRC),$(call json_entry,$(s),$(CLANG) $(BPF_CFLAGS)))])
	@:
FORCE:

help:
	@printf '%s\n' \
		'make                 build/sojourn and nothing else' \
		'make run             install what is missing, build, show the demonstration' \
		'make test            install what is missing, build, run every test; CI=true forbids skipping' \
		'make test-vm         what boots guests: the kernel matrix, the unit; VM="6.1 6.12" for some kernels only' \
		'make unit            the unit tests alone; with SANITIZE=address,undefined under sanitizers' \
		'make lint            the rules of the house' \
		'make format          clang-format, in place; F="FILE..." for some files only' \
		'make fuzz            every fuzz target for FUZZ_SECONDS (20) each' \
		'make bench           what it costs; README=README.md puts the tables there' \
		'make deps            install what building and testing need (Debian)' \
		'make vmlinux         vmlinux/vmlinux.h from vmlinux/types.list and the kernel'"'"'s BTF' \
		'make install         to PREFIX (/usr/local) under DESTDIR' \
		'make clean compile_commands.json' \
		'' \
		'V=1 shows commands, SANITIZE=address,undefined builds beside the plain build, CFLAGS and LDFLAGS add to'\
		'the flags, B=DIR builds elsewhere.'

clean:
	$(Q)rm -rf build build-* compile_commands.json

-include $(DEP)
