# Stands for OpenWrt's own rules around packaging/openwrt/crossfoot/Makefile.

INCLUDE_DIR := $(TOPDIR)/include
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
CP := cp -fpR
TARGET_CROSS :=
TARGET_CC_NOCACHE := gcc
toupper = $(shell echo '$(1)' | tr 'a-z' 'A-Z')
