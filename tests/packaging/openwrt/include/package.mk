# Stands for OpenWrt's package.mk: prints fields, and runs what a package defines for building and installing.

PKG_INSTALL_DIR := $(PKG_BUILD_DIR)/ipkg-install
BuildPackage = $(eval BUILT += $(1))

print:
	@$(foreach v,NAME VERSION SOURCE SOURCE_URL HASH LICENSE LICENSE_FILES BUILD_DEPENDS,echo '$(v)=$(PKG_$(v))';)
	@echo 'BUILT=$(strip $(BUILT))'
	@$(foreach p,$(BUILT),echo '$(p)=$(strip $(Package/$(p)))';)

compile:
	$(Build/Compile)

dev:
	$(call Build/InstallDev,$(ROOT))

$(addprefix install-,libcrossfoot crossfoot): install-%:
	$(call Package/$*/install,$(ROOT))
