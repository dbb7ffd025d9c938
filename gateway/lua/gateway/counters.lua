-- Counts of answers, kept in each worker and added up in a shared dictionary once a second: a request costs one addition.
local dict = ngx.shared.counters
local peers = require "gateway.peers"

local M = {}

local NAMES = { "1xx", "2xx", "3xx", "4xx", "5xx" }
local counts = { 0, 0, 0, 0, 0 }
local more = { pages = 0, planned = 0, bypassed = 0 }

function M.count()
    local status = ngx.status
    local class = math.floor(status / 100)
    if counts[class] then
        counts[class] = counts[class] + 1
    end
    if status == 503 then
        peers.note_unconnected()
    end
end

function M.count_page(planned)
    more.pages = more.pages + 1
    if planned then
        more.planned = more.planned + 1
    end
end

function M.count_bypass()
    more.bypassed = more.bypassed + 1
end

function M.flush()
    for class = 1, 5 do
        if counts[class] > 0 then
            dict:incr(NAMES[class], counts[class], 0)
            counts[class] = 0
        end
    end
    for name, count in pairs(more) do
        if count > 0 then
            dict:incr(name, count, 0)
            more[name] = 0
        end
    end
end

function M.start()
    ngx.timer.every(1, M.flush)
end

-- One `name value` a line.
function M.text()
    M.flush()
    local lines = {}
    for _, name in ipairs(NAMES) do
        lines[#lines + 1] = name .. " " .. (dict:get(name) or 0)
    end
    for name in pairs(more) do
        lines[#lines + 1] = name .. " " .. (dict:get(name) or 0)
    end
    return table.concat(lines, "\n") .. "\n"
end

return M
