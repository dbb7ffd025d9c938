-- The maintenance page: HTML or a problem document, always 503, whatever the method was.
local counters = require "gateway.counters"
local flags = require "gateway.flag"
local negotiation = require "gateway.negotiation"

local M = {}

local REQUEST = '<!--# echo var="request_id" -->'
local EXPECTED = '<!--# echo var="expected" -->'
local PLAIN = "<!doctype html><title>Unavailable</title><h1>The site is unavailable for a moment.</h1>"
local path, planned_path, retry_after

function M.configure(page, planned_page, seconds)
    path, planned_path, retry_after = page, planned_page, seconds
end

local function replaced(text, placeholder, with)
    local from, to = text:find(placeholder, 1, true)
    while from do
        text = text:sub(1, from - 1) .. with .. text:sub(to + 1)
        from, to = text:find(placeholder, from + #with, true)
    end
    return text
end

-- The page is read each time: a new one is in place as soon as its file is.
local function html(request, planned, expected)
    local file = io.open(planned and planned_path or path)
    local text = file and file:read("*a")
    if file then
        file:close()
    end
    if not text then
        return PLAIN
    end
    return replaced(replaced(text, EXPECTED, expected), REQUEST, request)
end

local function problem(request, detail, seconds, expected)
    return '{"type":"about:blank","title":"Service Unavailable","status":503,"detail":' .. detail
        .. ',"retry_after":' .. seconds .. expected .. ',"request_id":"' .. request .. '"}\n'
end

local UNAVAILABLE = '"The site is unavailable for a moment. Nothing is known to have been done with this request."'

function M.serve()
    local flag = ngx.var.maintenance == "page" and flags.current() or nil
    counters.count_page(flag)
    local seconds, expected_html, expected_json = retry_after, "", ""
    -- An expected end that has passed is nobody's promise any more.
    if flag and flag.expected > ngx.time() then
        seconds = flag.expected - ngx.time()
        expected_html, expected_json = flag.expected_html, ',"expected_end":"' .. flag.expected_iso .. '"'
    end
    local body
    if negotiation.wants_json(ngx.var.request_uri or "/", negotiation.accept()) then
        ngx.header["Content-Type"] = "application/problem+json"
        body = problem(ngx.var.request_name, flag and flag.detail or UNAVAILABLE, seconds, expected_json)
    else
        ngx.header["Content-Type"] = "text/html; charset=utf-8"
        body = html(ngx.var.request_name, flag, expected_html)
    end
    ngx.status = 503
    ngx.header["Retry-After"] = seconds
    ngx.header["Content-Length"] = #body
    ngx.print(body)
end

return M
