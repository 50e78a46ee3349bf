################################################################################
#
# crossfoot
#
################################################################################

CROSSFOOT_VERSION = 0.1.0
CROSSFOOT_SOURCE = crossfoot-$(CROSSFOOT_VERSION)-source.tar.gz
CROSSFOOT_SITE = $(call qstrip,$(BR2_PACKAGE_CROSSFOOT_SITE))
CROSSFOOT_LICENSE = MIT or Apache-2.0
CROSSFOOT_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
CROSSFOOT_INSTALL_STAGING = YES

# An archive of one's own sources. It has no line in crossfoot.hash.
ifeq ($(CROSSFOOT_SITE),)
CROSSFOOT_SITE = file://$(BR2_EXTERNAL_CROSSFOOT_PATH)/../../target/dist
BR_NO_CHECK_HASH_FOR += $(CROSSFOOT_SOURCE)
endif

CROSSFOOT_CARGO_BUILD_OPTS = --package crossfoot-preload
ifeq ($(BR2_PACKAGE_CROSSFOOT_COMMAND),y)
CROSSFOOT_CARGO_BUILD_OPTS += --package crossfoot-cli
endif

# GNU's ld does not take what the shared object is linked with.
CROSSFOOT_CARGO_ENV = \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_LINKER="$(@D)/packaging/cc.sh" \
	CROSSFOOT_CC="$(TARGET_CC)"

# Rust links musl statically by default, and makes no shared object then.
ifeq ($(BR2_TOOLCHAIN_USES_MUSL):$(BR2_STATIC_LIBS),y:)
CROSSFOOT_CARGO_ENV += RUSTFLAGS="-C target-feature=-crt-static"
endif

CROSSFOOT_BUILT = $(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)

# $(1): the folder that stands for the root
define CROSSFOOT_INSTALL
	OBJCOPY="$(TARGET_OBJCOPY)" $(@D)/packaging/install.sh $(CROSSFOOT_BUILT) $(1) /usr
endef

define CROSSFOOT_INSTALL_STAGING_CMDS
	$(call CROSSFOOT_INSTALL,$(STAGING_DIR))
endef

# Buildroot removes headers, archives and documents from the target later.
define CROSSFOOT_INSTALL_TARGET_CMDS
	$(call CROSSFOOT_INSTALL,$(TARGET_DIR))
endef

$(eval $(cargo-package))
