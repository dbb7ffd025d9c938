-- The watcher's side door, on a unix socket: which addresses serve, whether a maintenance is on, and what was counted.
local counters = require "gateway.counters"
local flags = require "gateway.flag"
local leave = require "gateway.leave"
local peers = require "gateway.peers"

local M = {}

-- Stores the body and answers with what is in use now.
local function put(into)
    ngx.req.read_body()
    local stored, why = into.put(ngx.req.get_body_data() or "")
    if not stored then
        ngx.status = 500
        ngx.print(why)
        return
    end
    ngx.print(into.get())
end

function M.put_peers()
    put(peers)
end

function M.put_flag()
    put(flags)
end

function M.put_leave()
    local stored, why = leave.begin()
    if not stored then
        ngx.status = 500
        ngx.print(why)
        return
    end
    -- With the one that asks.
    ngx.print(ngx.var.connections_active)
end

function M.get_counters()
    ngx.print(counters.text())
end

return M
