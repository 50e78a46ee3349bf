# Stands for Buildroot around packaging/buildroot/package/crossfoot/crossfoot.mk, the argument PACKAGE. RELEASE is a folder
# with a build. Like Buildroot, it runs the package's commands in recipes of files in the folder of the sources.

qstrip = $(strip $(subst ",,$(1)))
RUSTC_TARGET_NAME = x86_64-unknown-linux-gnu
# Buildroot's own takes hyphens to underscores too.
UPPERCASE = $(shell echo '$(1)' | tr 'a-z-' 'A-Z_')
TARGET_CC = gcc
TARGET_OBJCOPY = objcopy
BR2_EXTERNAL_CROSSFOOT_PATH = /external
BR2_PACKAGE_CROSSFOOT_COMMAND = y

define evaluated
EVALUATED = cargo-package
endef
cargo-package = $(evaluated)

include $(PACKAGE)

print:
	@echo 'EVALUATED=$(EVALUATED)'
	@$(foreach v,VERSION SOURCE SITE LICENSE LICENSE_FILES INSTALL_STAGING CARGO_BUILD_OPTS CARGO_ENV,echo '$(v)=$(CROSSFOOT_$(v))';)
	@echo 'UNCHECKED=$(BR_NO_CHECK_HASH_FOR)'

$(BUILD_DIR)/.stamp_staging_installed:
	$(CROSSFOOT_INSTALL_STAGING_CMDS)

$(BUILD_DIR)/.stamp_target_installed:
	$(CROSSFOOT_INSTALL_TARGET_CMDS)
