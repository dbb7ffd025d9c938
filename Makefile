# The verbs a person types. STACK names the stack (dev), ARGS goes on to the verb, PYTHON is the interpreter that starts it.
#   make up | preview | status | logs [SERVICE=web FOLLOW=yes LINES=50] | down
#   make config ARGS='set siteName "My site"'   make env   make migrate   make cancel
#   make destroy [DELETE_DATA=yes]
#   make cluster-up | cluster-down [DELETE_DATA=yes]   (a Kubernetes cluster on this machine)
#   make test [ARGS='setup app'] | test-long | test-official | check | bench
PYTHON ?= python3
VERBS = up preview down destroy logs status env config migrate cancel cluster-up cluster-down test test-long test-official check bench
export STACK ARGS SERVICE FOLLOW LINES YES DELETE_DATA SWEEP

.PHONY: help $(VERBS)
help: ; @sed -n 's/^#   //p' Makefile
$(VERBS): ; @$(PYTHON) -m operate $@
