include $(sort $(wildcard $(BR2_EXTERNAL_CROSSFOOT_PATH)/package/*/*.mk))
